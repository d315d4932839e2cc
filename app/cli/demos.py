"""The commands that act in worlds: `innerloop navigate`, `drive` and `collect`."""

import asyncio
import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import torch
import typer
from rich.progress import Progress

from app.bundles import Bundle, load
from app.cli.closed_loop import Remote, ask
from app.cli.connecting import connect
from app.cli.evaluation_tasks import check_served
from app.cli.output import ModelsDir, Server, console, show
from app.device import describe
from app.errors import InnerloopError
from app.families.highway.demo import Drives
from app.families.highway.demo import drive as drives
from app.training.problem import worlds_of
from app.training.publish import publish_policy, write_with_card
from app.training.returns import OVER_HTTP, SCORE, SEED, Returns, Trial, mean_returns


def navigate(
    bundle: Annotated[str, typer.Argument(help="Name of the bundle.")] = "navigation",
    goals: Annotated[int, typer.Option(min=2, help="Held-out goals.")] = 40,
    episodes: Annotated[int, typer.Option(min=1, help="Episodes for each goal in each stage.")] = 20,
    steps: Annotated[int, typer.Option(min=1, help="Stages: sets of episodes that are posted.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the goals, and of what the policies draw.")] = SEED,
    save: Annotated[bool, typer.Option("--write/--no-write", help="Into the bundle, its card and its plots.")] = False,
    server: Server = None,
    models_dir: ModelsDir = Path("models"),
) -> None:
    """Find the way to goals that are not told: act over HTTP, post the episodes, act again, and print the returns."""
    loaded = load(models_dir / bundle)
    found = asyncio.run(act(loaded, Trial(goals, episodes, steps, seed), server))
    show_returns(loaded, found, models_dir / bundle if save else None)


async def act(loaded: Bundle, trial: Trial, server: str | None) -> Returns:
    """What a bundle gains in its worlds where it is asked over HTTP. server: as for `connect`."""
    worlds = worlds_of(loaded)
    async with connect(server) as client:
        check_served(await ask(client, "GET", f"/models/{loaded.name}"), loaded)
        learner = Remote(client, loaded.name, loaded.manifest.schema, trial.tasks, seed=trial.seed)
        # in a thread: the worlds and the learner wait for answers, and the loop has to go on for them to come
        acted = await asyncio.to_thread(trial.run, worlds, lambda generator: learner, torch.device("cpu"))
    return Returns(trial, mean_returns(acted), way=OVER_HTTP, machine=describe(torch.device("cpu")))


def show_returns(loaded: Bundle, found: Returns, folder: Path | None) -> None:
    """Print returns, and write them into the bundle in `folder` where there is one."""
    show(f"{found.protocol}.\n\n{found.as_text()}")
    if folder is not None:
        before = loaded.manifest.evaluation
        beside = found.way == OVER_HTTP and before.get("score") == SCORE
        kept = {**before, **({"over_http": found.as_json()} if beside else found.as_json())}
        publish_policy(
            dataclasses.replace(loaded, manifest=dataclasses.replace(loaded.manifest, evaluation=kept)), folder
        )


def drive(
    bundle: Annotated[str, typer.Argument(help="Name of the bundle.")] = "driving",
    world: Annotated[int, typer.Option(min=0, max=39, help="Which of the held-out worlds.")] = 0,
    shots: Annotated[int, typer.Option(min=1, max=100, help="Episodes that the model is shown.")] = 3,
    episodes: Annotated[int, typer.Option(min=1, help="Episodes that it drives before, and after.")] = 4,
    film: Annotated[Path, typer.Option(help="Where the film goes: a strip (.png) and an animation (.gif).")] = Path(
        "drive"
    ),
    save: Annotated[
        bool, typer.Option("--write/--no-write", help="The film and what came of it into the bundle and its card.")
    ] = False,
    server: Server = None,
    models_dir: ModelsDir = Path("models"),
) -> None:
    """Drive in a world of highway-env by /predict, show /adapt how somebody drives who knows it, and drive again."""
    with _highway():
        from app.families.highway.film import animation, strip

        found = asyncio.run(_drive(bundle, world, shots, episodes, server))
    console.print(str(found), markup=False)
    frames, to = (found.before[0].frames, found.after[0].frames), models_dir / bundle / "film" if save else film
    strip(*frames, to.with_suffix(".png"))
    animation(*frames, to.with_suffix(".gif"))
    console.print(f"the film is in {to.with_suffix('.png')} and {to.with_suffix('.gif')}")
    if save:
        write_film(models_dir / bundle, found)


def write_film(folder: Path, found: Drives) -> None:
    """Put what came of driving, and the names of the pictures, into the bundle in a folder and its card."""
    loaded = load(folder)
    film = {"strip": "film.png", "animation": "film.gif", **found.as_json()}
    kept = {**loaded.manifest.evaluation, "film": film}
    write_with_card(dataclasses.replace(loaded, manifest=dataclasses.replace(loaded.manifest, evaluation=kept)), folder)


async def _drive(bundle: str, world: int, shots: int, episodes: int, server: str | None) -> Drives:
    async with connect(server) as client:
        return await drives(partial(ask, client), bundle, world, shots, episodes)


def collect(
    family: Annotated[Literal["driving"], typer.Argument(help="The family whose worlds are acted in.")] = "driving",
    out: Annotated[Path, typer.Option(help="The folder that the log goes to; training reads it as --data.")] = Path(
        "data"
    ),
) -> None:
    """Drive in the worlds of highway-env, and write the log that driving is trained from."""
    with _highway():
        from app.families.highway.episodes import WORLDS, write_log
    out.mkdir(parents=True, exist_ok=True)
    with Progress(console=console) as progress:
        for split, count in WORLDS.items():
            bar = progress.add_task(f"worlds of {split}", total=count)
            write_log(split, out, lambda done, bar=bar: progress.update(bar, completed=done))  # type: ignore[misc]


@contextmanager
def _highway() -> Iterator[None]:
    """Say how the simulator is had, where it is not."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise InnerloopError("driving is done in highway-env: pip install 'innerloop-server[driving]'") from error
