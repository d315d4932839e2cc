"""The offline training script: `python -m app.train sinusoid`, also `innerloop train` and `make train`.

It needs neither FastAPI nor pydantic, so that a bare GPU machine can run it from a checkout.
"""

import dataclasses
import json
import shlex
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.device import choose_device
from app.errors import InnerloopError, TrainingError
from app.families.registry import families, make
from app.learn.algorithms import ALGORITHMS
from app.training.checkpoints import restore_checkpoint, save_checkpoint
from app.training.loop import Run
from app.training.recipes.recipe import Recipe
from app.training.recipes.registry import recipe_for
from app.training.report import write_bundle

REPORT_EVERY = 100
CHECKPOINT_EVERY = 1_000


def train(
    family: Annotated[str, typer.Argument(help="The problem, such as sinusoid.")] = "sinusoid",
    name: Annotated[str | None, typer.Option(help="Name of the bundle; the family's where none is given.")] = None,
    algorithm: Annotated[str | None, typer.Option(help="Instead of the recipe's.")] = None,
    outer_steps: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    option: Annotated[list[str] | None, typer.Option(help="An option of the family, such as features=3.")] = None,
    models_dir: Annotated[Path, typer.Option(help="Where the bundle goes.")] = Path("models"),
    runs_dir: Annotated[Path, typer.Option(help="Where checkpoints and TensorBoard logs go.")] = Path("runs"),
    device: Annotated[str, typer.Option(help="cpu or cuda; the GPU where there is one.")] = "auto",
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin again instead of resuming.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="On the CPU; small networks train fastest on one.")] = 1,
    eager: Annotated[bool, typer.Option("--eager", help="Do not compile: slower, starts at once.")] = False,
) -> None:
    """Meta-train an initialization and write its bundle. An interrupted run goes on where its checkpoint is."""
    console = Console()
    torch.set_num_threads(threads)
    try:
        recipe = choose_recipe(family, algorithm, outer_steps, seed, option or [])
        run = Run(recipe, choose_device(device), compiled=not eager)
        folder = runs_dir / (name or family)
        checkpoint = folder / "checkpoint.safetensors"
        if checkpoint.exists() and not fresh:
            restore_checkpoint(run, checkpoint)
            console.print(f"resuming after {run.step} of {recipe.outer_steps} outer steps ({checkpoint})")
        advance(run, checkpoint, console)
        bundle = models_dir / (name or family)
        console.print(f"evaluating, and writing {bundle}")
        manifest = write_bundle(run, bundle, command_of(family, name, algorithm, outer_steps, seed, option or []))
    except InnerloopError as error:
        console.print(f"[red]{error}")
        raise typer.Exit(1) from error
    checkpoint.unlink(missing_ok=True)
    console.print((bundle / "CARD.md").read_text(), markup=False)
    console.print(f"digest {manifest.digest}")


def advance(run: Run, checkpoint: Path, console: Console) -> None:
    """Train to the end, with a progress bar, a TensorBoard log and a checkpoint every so often."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.4f} · {task.fields[rate]:.0f} steps/s"),
        TimeRemainingColumn(),
    )
    total = run.recipe.outer_steps
    with tensorboard(checkpoint.parent, run.step) as log, Progress(*columns, console=console) as progress:
        bar = progress.add_task(run.recipe.family, total=total, completed=run.step, loss=float("nan"), rate=0.0)
        while run.step < total:
            loss = run.advance(min(REPORT_EVERY, total - run.step))
            progress.update(bar, completed=run.step, loss=loss, rate=progress.tasks[bar].speed or 0.0)
            log.add_scalar("loss/query_after_adapting", loss, run.step)
            if run.step % CHECKPOINT_EVERY == 0:
                save_checkpoint(run, checkpoint)
        save_checkpoint(run, checkpoint)


def tensorboard(folder: Path, step: int) -> Any:
    """A TensorBoard writer that drops what an interrupted run logged after its last checkpoint."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise TrainingError("training logs to TensorBoard: pip install 'innerloop[train]'") from error
    return SummaryWriter(str(folder), purge_step=step)


def choose_recipe(
    family: str, algorithm: str | None, outer_steps: int | None, seed: int | None, options: list[str]
) -> Recipe:
    """The family's recipe with what the command line says instead."""
    if family not in families():
        raise TrainingError(f"there is no family {family!r}; the families here: {', '.join(sorted(families()))}")
    if algorithm is not None and algorithm not in ALGORITHMS:
        raise TrainingError(f"there is no algorithm {algorithm!r}; known here: {', '.join(sorted(ALGORITHMS))}")
    recipe = recipe_for(family)
    said = {"algorithm": algorithm, "outer_steps": outer_steps, "seed": seed}
    changes: dict[str, Any] = {key: value for key, value in said.items() if value is not None}
    if options:
        changes["family_options"] = {**recipe.family_options, **dict(map(parse_option, options))}
    recipe = dataclasses.replace(recipe, **changes)
    try:
        make(family, recipe.family_options)
    except (TypeError, ValueError) as error:
        raise TrainingError(f"the family {family!r} does not take these options: {error}") from error
    return recipe


def parse_option(text: str) -> tuple[str, Any]:
    """`features=3` as ("features", 3): the value is JSON, or else a string."""
    key, equals, value = text.partition("=")
    if not equals:
        raise TrainingError(f"an option is written key=value, got {text!r}")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def command_of(
    family: str, name: str | None, algorithm: str | None, outer_steps: int | None, seed: int | None, options: list[str]
) -> str:
    """The command line that makes the same bundle again."""
    said = {"--name": name, "--algorithm": algorithm, "--outer-steps": outer_steps, "--seed": seed}
    words = ["innerloop", "train", family]
    words += [str(word) for key, value in said.items() if value is not None for word in (key, value)]
    return shlex.join(words + [word for option in options for word in ("--option", option)])


def main() -> None:
    """The command line of `python -m app.train`."""
    typer.run(train)


if __name__ == "__main__":
    main()
