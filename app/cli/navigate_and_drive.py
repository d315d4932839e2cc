"""The commands that act in worlds: `innerloop navigate`, `drive`, and `collect` for the data of driving."""

import asyncio
import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import Progress, TaskID

from app.bundles.folder import load, load_named
from app.cli.completion import complete_bundle
from app.cli.console import ModelsDir, Server, console
from app.cli.evaluate import show_returns
from app.cli.example_files import STDOUT
from app.cli.option_bounds import MAX_EPISODES, MAX_STAGES, MAX_WORLDS
from app.cli.output_file import check_output
from app.cli.remote_learner import RemoteLearner, returns_over_http
from app.cli.server_connection import connect, get_model
from app.errors import InnerloopError, expectation, missing_package
from app.families.highway.demo import DriveReport
from app.families.highway.demo import drive as drive_in_world
from app.families.worlds_protocol import Episodes
from app.output_folder import check_folder
from app.training.family_and_network import family_of
from app.training.optional_packages import PLOTS, require
from app.training.publish import write_with_card
from app.training.recipes.recipe import MAX_SEED
from app.training.returns import SEED, Trial


def navigate(
    bundle: Annotated[
        str, typer.Argument(help="Name of the bundle, a policy.", autocompletion=complete_bundle)
    ] = "navigation",
    count: Annotated[
        int,
        typer.Option(
            "--worlds", min=2, max=MAX_WORLDS, help="Number of held-out worlds; in navigation each has its own goal."
        ),
    ] = 40,
    episodes: Annotated[
        int, typer.Option(min=1, max=MAX_EPISODES, help="Number of episodes in each world and stage.")
    ] = 20,
    stages: Annotated[
        int,
        typer.Option(
            min=1, max=MAX_STAGES, help="Number of stages: how often the policy adapts to its latest episodes."
        ),
    ] = 3,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Seed of the worlds and of the drawn actions.")] = SEED,
    save: Annotated[
        bool,
        typer.Option(
            "--write/--no-write", help="Write the returns into the bundle, its card and its plots, or only print them."
        ),
    ] = False,
    server: Server = None,
    models_dir: ModelsDir = Path("models"),
) -> None:
    """Act in held-out worlds over HTTP, adapt to the episodes, act again, and print the returns.

    In `navigation` a world is a goal in the plane that the policy has to find.
    """
    loaded = load_named(models_dir, bundle)
    if save:
        require(PLOTS)
    returns = asyncio.run(returns_over_http(loaded, Trial(count, episodes, stages, seed), server))
    show_returns(loaded, returns, models_dir / bundle if save else None)


def drive(
    bundle: Annotated[
        str, typer.Argument(help="Name of the bundle, a policy that drives.", autocompletion=complete_bundle)
    ] = "driving",
    world: Annotated[int, typer.Option(min=0, max=39, help="Number of the held-out world.")] = 0,
    demonstrations: Annotated[
        int, typer.Option(min=1, max=100, help="Number of episodes to adapt to, from a driver who knows the world.")
    ] = 3,
    episodes: Annotated[
        int, typer.Option(min=1, max=MAX_EPISODES, help="Number of episodes to drive before adapting, and after it.")
    ] = 4,
    film: Annotated[
        Path,
        typer.Option(
            help="Path of the film without a file extension. A strip (.png) and an animation (.gif) are written."
        ),
    ] = Path("drive"),
    save: Annotated[
        bool,
        typer.Option(
            "--write/--no-write",
            help="Write the film and the returns into the bundle and its card; otherwise print the returns and write "
            "the film to --film.",
        ),
    ] = False,
    server: Server = None,
    models_dir: ModelsDir = Path("models"),
) -> None:
    """Drive in a held-out world of highway-env over HTTP, adapt to a driver who knows it, and drive again."""
    if film == STDOUT:
        raise InnerloopError(expectation("--film", "the path of two files, without a file extension", film))
    if save:
        load_named(models_dir, bundle)
    target = models_dir / bundle / "film" if save else film
    files = _film_files(target)
    with _needs_highway():
        from app.families.highway.film import animation, strip

        report = asyncio.run(_drive(bundle, world, demonstrations, episodes, server))
    console.print(str(report), markup=False)
    frames = report.before[0].frames, report.after[0].frames
    strip(*frames, files[0])
    animation(*frames, files[1])
    console.print(f"wrote the film to {files[0]} and {files[1]}", markup=False)
    if save:
        _write_film(models_dir / bundle, report)


def _film_files(film: Path) -> tuple[Path, Path]:
    """The strip and the animation. Raises InnerloopError for files that cannot be written."""
    if not film.name:  # a folder without a name, such as . or /
        check_output("--film", film)
    files = film.with_suffix(".png"), film.with_suffix(".gif")
    for file in files:
        check_output("--film", file)
    return files


async def _drive(bundle: str, world: int, demonstrations: int, episodes: int, server: str | None) -> DriveReport:
    async with connect(server) as client:
        model = await get_model(client, bundle)
        if (model.actions or {}).get("form") != "discrete":
            expected = "a bundle with discrete actions, such as driving"
            raise InnerloopError(expectation("bundle", expected, f"{bundle}, which has none"))
        learner = RemoteLearner(client, model, tasks=1, seed=None, with_rewards=False)

        def adapt(shown: Episodes) -> str:
            learner.learn(shown)
            (adaptation,) = learner.adaptations
            assert adaptation is not None, "it has learned"
            return f"adaptation {adaptation.id}: {adaptation.message}"

        # in another thread: the learner blocks until responses come, and the event loop receives them
        return await asyncio.to_thread(drive_in_world, learner.act, adapt, world, demonstrations, episodes)


def _write_film(folder: Path, report: DriveReport) -> None:
    """Add the report and the names of its pictures to the bundle in a folder and to its card."""
    bundle = load(folder)
    film = {"strip": "film.png", "animation": "film.gif", **report.as_json()}
    evaluation = {**bundle.manifest.evaluation, "film": film}
    manifest = dataclasses.replace(bundle.manifest, evaluation=evaluation)
    write_with_card(dataclasses.replace(bundle, manifest=manifest), family_of(bundle), folder)


def collect(
    family: Annotated[Literal["driving"], typer.Argument(help="Family whose worlds are driven in.")] = "driving",
    out: Annotated[Path, typer.Option(help="Folder for the log; training reads it with --data.")] = Path("data"),
) -> None:
    """Let an expert drive in worlds of highway-env, and write the log that `innerloop train driving --data` reads."""
    with _needs_highway():
        from app.families.highway.episodes import EPISODES, WORLDS, write_log
    check_folder("--out", out)
    out.mkdir(parents=True, exist_ok=True)
    # a file or a pipe shows no bar before it is full, so there is a line for each split
    console.print(f"driving {EPISODES} episodes in each of {sum(WORLDS.values())} worlds, which takes some minutes")
    with Progress(console=console, disable=not console.is_terminal) as progress:
        for split, count in WORLDS.items():
            bar = progress.add_task(f"{split} worlds", total=count)
            file = write_log(split, out, partial(_update, progress, bar))
            console.print(f"wrote {count} {split} worlds to {file}", markup=False, highlight=False, soft_wrap=True)


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
        raise InnerloopError(missing_package("highway-env", "driving")) from error
