"""The commands that show a bundle at work: `innerloop try`, `navigate` and `drive`, and `collect` for its data."""

import asyncio
import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx
import torch
import typer
from rich.progress import Progress, TaskID
from torch import Tensor

from app.bundles import load
from app.cli.evaluate import show_returns
from app.cli.output import Data, ModelsDir, Server, console
from app.cli.remote import RemoteLearner, connect, from_raw, request, returns_over_http, to_raw
from app.errors import InnerloopError, NoFamily
from app.families.family import Family
from app.families.highway.demo import DriveReport
from app.families.highway.demo import drive as drive_in_world
from app.families.registry import families, make
from app.families.worlds import Episodes, Worlds
from app.training.publish import write_with_card
from app.training.returns import SEED, Trial

QUERIES, CLASS_QUERIES = 200, 10
"""Queries of a task that `try` predicts: in all, or of each class."""


def try_bundle(
    bundle: Annotated[str, typer.Argument(help="Name of the bundle.")] = "sinusoid",
    shots: Annotated[int, typer.Option(min=1, help="Support examples; for classification, of each class.")] = 5,
    steps: Annotated[int | None, typer.Option(min=0, help="Inner steps; the bundle's by default.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the task.")] = 0,
    data: Data = None,
    server: Server = None,
) -> None:
    """Adapt to a random task over HTTP, predict, and show the errors before and after, with the curve if it has one."""
    asyncio.run(_try(bundle, shots, steps, seed, data, server))


async def _try(bundle: str, shots: int, steps: int | None, seed: int, data: Path | None, server: str | None) -> None:
    async with connect(server) as client:
        model = await request(client, "GET", f"/models/{bundle}")
        family = _family(model, data)
        settings = {} if steps is None else {"steps": steps}
        generator = torch.Generator().manual_seed(seed)
        match model["kind"]:
            case "regression":
                await _try_regression(client, model, family, shots, settings, generator)
            case "classification":
                await _try_classification(client, model, family, shots, settings, generator)
            case _:
                raise InnerloopError(
                    f"{bundle} is a policy, which `innerloop try` cannot show: {_advice(model, family)}"
                )


def _family(model: dict[str, Any], data: Path | None) -> Family:
    """The family of a served model. Raises InnerloopError if it has none, or none that can be made here."""
    if "family" not in model:
        raise NoFamily(model["name"])
    name = model["family"]
    if name not in families():
        raise InnerloopError(f"{model['name']}: the family {name!r} is not installed here")
    try:
        return make(name, model["family_options"], data)
    except (ImportError, TypeError, ValueError) as error:
        raise InnerloopError(f"{model['name']}: the family {name!r} cannot be made: {error}") from error


def _advice(model: dict[str, Any], family: Family) -> str:
    """Which command shows a policy."""
    if isinstance(family, Worlds):
        return f"`innerloop navigate {model['name']}` acts and learns with it"
    if model["family"] == "driving":
        return f"`innerloop drive {model['name']}` drives with it"
    return f"`innerloop evaluate {model['name']} --no-write` scores it"


async def _try_regression(
    client: httpx.AsyncClient,
    model: dict[str, Any],
    family: Family,
    shots: int,
    settings: dict[str, int],
    generator: torch.Generator,
) -> None:
    """Print the errors before and after adapting, and draw the curves of one feature."""
    inputs, targets = (part[0] for part in family.sample(1, shots + QUERIES, generator, split="test"))
    support = {"inputs": to_raw(inputs[:shots]), "targets": to_raw(targets[:shots])}
    queries, truth = {"queries": to_raw(inputs[shots:])}, targets[shots:]
    adaptation = await request(client, "POST", "/adapt", {"model": model["name"], "support": support, **settings})
    by = {"before": {"model": model["name"]}, "after": {"adaptation_id": adaptation["adaptation_id"]}}
    curves = {"truth": truth}
    for name, identity in by.items():
        curves[name] = from_raw((await request(client, "POST", "/predict", identity | queries))["predictions"])
        error = (curves[name] - truth).square().mean()
        console.print(f"mean squared error {name} adapting to {shots} examples: {error:.4f}")
    _print_adaptation(adaptation)
    if family.features == 1:
        _draw((inputs[:shots, 0], targets[:shots, 0]), inputs[shots:, 0], curves)


async def _try_classification(
    client: httpx.AsyncClient,
    model: dict[str, Any],
    family: Family,
    shots: int,
    settings: dict[str, int],
    generator: torch.Generator,
) -> None:
    """Print the accuracy on queries of the classes of a task, after adapting."""
    ways = family.targets
    examples = family.sample(1, shots + CLASS_QUERIES, generator, ways=ways, split="test")
    inputs, labels = examples.inputs[0], [f"class {index}" for index in examples.targets[0].argmax(-1).tolist()]
    count = shots * ways  # the classes take turns
    body = {"model": model["name"], "support": {"inputs": to_raw(inputs[:count]), "targets": labels[:count]}}
    adaptation = await request(client, "POST", "/adapt", body | settings)
    query = {"adaptation_id": adaptation["adaptation_id"], "queries": to_raw(inputs[count:])}
    answer = await request(client, "POST", "/predict", query)
    correct = sum(map(str.__eq__, answer["predictions"], labels[count:]))
    task = f"{ways} classes with {shots} example{'' if shots == 1 else 's'} each"
    console.print(
        f"{correct} of {len(labels) - count} queries are right after adapting to {task}; guessing gets {1 / ways:.0%}"
    )
    _print_adaptation(adaptation)


def _print_adaptation(adaptation: dict[str, Any]) -> None:
    losses = ", ".join(f"{loss:.4f}" for loss in from_raw(adaptation["losses"]).tolist())
    console.print(f"support loss by step: {losses}", soft_wrap=True)
    message = f"adaptation {adaptation['adaptation_id']}: {adaptation['message']}"
    console.print(message, markup=False, soft_wrap=True)


def _draw(support: tuple[Tensor, Tensor], x: Tensor, curves: dict[str, Tensor]) -> None:
    """Draw the curves over x, and the support examples."""
    import plotext  # a quarter of a second, which no other command needs

    figure = plotext.figure
    figure.plot_size(min(console.width, 100), 25)
    for label, values in curves.items():
        figure.draw(figure.signal(x.tolist(), values[:, 0].tolist()).label(label))
    figure.draw(figure.signal(*(part.tolist() for part in support), marker="O").label("support"))
    figure.show(colorless=not console.is_terminal)


def navigate(
    bundle: Annotated[str, typer.Argument(help="Name of the bundle.")] = "navigation",
    goals: Annotated[int, typer.Option(min=2, help="Held-out worlds, such as goals to find.")] = 40,
    episodes: Annotated[int, typer.Option(min=1, help="Episodes in each world, in each stage.")] = 20,
    steps: Annotated[int, typer.Option(min=1, help="Stages: how often episodes are posted to learn from.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of the worlds and of the actions.")] = SEED,
    save: Annotated[
        bool, typer.Option("--write/--no-write", help="Write the returns into the bundle, its card and its plots.")
    ] = False,
    server: Server = None,
    models_dir: ModelsDir = Path("models"),
) -> None:
    """Act in held-out worlds over HTTP, post the episodes, act again, and print the returns.

    The worlds of `navigation` are goals that the policy has to find.
    """
    loaded = load(models_dir / bundle)
    returns = asyncio.run(returns_over_http(loaded, Trial(goals, episodes, steps, seed), server))
    show_returns(loaded, returns, models_dir / bundle if save else None)


def drive(
    bundle: Annotated[str, typer.Argument(help="Name of the bundle.")] = "driving",
    world: Annotated[int, typer.Option(min=0, max=39, help="Number of the held-out world.")] = 0,
    shots: Annotated[int, typer.Option(min=1, max=100, help="Episodes to adapt to.")] = 3,
    episodes: Annotated[int, typer.Option(min=1, help="Episodes to drive before adapting, and after.")] = 4,
    film: Annotated[Path, typer.Option(help="Where to write the film: a strip (.png) and an animation (.gif).")] = Path(
        "drive"
    ),
    save: Annotated[
        bool, typer.Option("--write/--no-write", help="Write the film and the returns into the bundle and its card.")
    ] = False,
    server: Server = None,
    models_dir: ModelsDir = Path("models"),
) -> None:
    """Drive in a held-out world of highway-env over HTTP, adapt to a driver who is at home there, and drive again."""
    with _needs_highway():
        from app.families.highway.film import animation, strip

        report = asyncio.run(_drive(bundle, world, shots, episodes, server))
    console.print(str(report), markup=False)
    frames = report.before[0].frames, report.after[0].frames
    target = models_dir / bundle / "film" if save else film
    strip(*frames, target.with_suffix(".png"))
    animation(*frames, target.with_suffix(".gif"))
    console.print(f"the film is in {target.with_suffix('.png')} and {target.with_suffix('.gif')}", markup=False)
    if save:
        _write_film(models_dir / bundle, report)


async def _drive(bundle: str, world: int, shots: int, episodes: int, server: str | None) -> DriveReport:
    async with connect(server) as client:
        model = await request(client, "GET", f"/models/{bundle}")
        if model.get("actions", {}).get("form") != "discrete":
            raise InnerloopError(f"{bundle} does not choose among discrete actions, so it cannot drive")
        learner = RemoteLearner(client, model, tasks=1, seed=None, with_rewards=False)

        def adapt(demonstrations: Episodes) -> str:
            learner.learn(demonstrations)
            return f"adaptation {learner.adaptations[0]}: {learner.messages[0]}"

        # in another thread: the learner blocks until responses come, and the event loop receives them
        return await asyncio.to_thread(drive_in_world, learner.act, adapt, world, shots, episodes)


def _write_film(folder: Path, report: DriveReport) -> None:
    """Add the report and the names of its pictures to the bundle in a folder and to its card."""
    bundle = load(folder)
    film = {"strip": "film.png", "animation": "film.gif", **report.as_json()}
    evaluation = {**bundle.manifest.evaluation, "film": film}
    manifest = dataclasses.replace(bundle.manifest, evaluation=evaluation)
    write_with_card(dataclasses.replace(bundle, manifest=manifest), folder)


def collect(
    family: Annotated[Literal["driving"], typer.Argument(help="Family in whose worlds to drive.")] = "driving",
    out: Annotated[Path, typer.Option(help="Folder for the log, which training reads by --data.")] = Path("data"),
) -> None:
    """Drive in the worlds of highway-env and write the log that `innerloop train driving` learns from."""
    with _needs_highway():
        from app.families.highway.episodes import WORLDS, write_log
    out.mkdir(parents=True, exist_ok=True)
    with Progress(console=console) as progress:
        for split, count in WORLDS.items():
            bar = progress.add_task(f"worlds of {split}", total=count)
            write_log(split, out, partial(_update, progress, bar))


def _update(progress: Progress, bar: TaskID, done: int) -> None:
    progress.update(bar, completed=done)


@contextmanager
def _needs_highway() -> Iterator[None]:
    """Turn a missing simulator into an error that names its extra."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("gymnasium", "highway_env"):
            raise
        raise InnerloopError("driving needs highway-env: pip install 'innerloop-server[driving]'") from error
