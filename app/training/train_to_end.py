"""The training loop: makes the run that a recipe asks for, and drives it to its end."""

from contextlib import nullcontext
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.families.family import Family
from app.training.checkpoints import save_checkpoint
from app.training.data_parallel import Processes
from app.training.early_stopping import out_of_patience
from app.training.on_policy import OnPolicyRun
from app.training.optional_packages import LOG, require
from app.training.recipes.recipe import Recipe
from app.training.training_run import Run
from app.training.validation import next_validation, validation_of

REPORT_EVERY = 100
CHECKPOINT_EVERY = 1_000


def make_run(
    recipe: Recipe,
    device: torch.device,
    *,
    compiled: bool = True,
    processes: Processes = Processes(),  # noqa: B008 (frozen)
    data: Path | None = None,
    family: Family | None = None,
) -> Run:
    """A run that learns from its own decisions where the recipe has episodes, else one that learns from samples.

    data: the folder of the family's data set, if the family reads one
    family: that of the recipe, if it is made already

    Raises TrainingError where the parts of the recipe do not fit each other.
    """
    run = Run if recipe.episodes is None else OnPolicyRun
    return run(recipe, device, compiled=compiled, processes=processes, data=data, family=family)


def finished(run: Run) -> bool:
    """Whether all outer steps are taken, or too many validations in a row found nothing better."""
    return run.step >= run.recipe.outer_steps or out_of_patience(run.recipe, run.step, run.best)


def train_to_end(run: Run, checkpoint: Path, console: Console) -> None:
    """Train to the end, with a progress bar, a TensorBoard log, validations and checkpoints."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[measured]}"),
        TimeRemainingColumn(),
    )
    first, total, validation = run.processes.first, run.recipe.outer_steps, validation_of(run)
    writer = tensorboard(checkpoint.parent, run.step) if first else nullcontext()
    with writer as log, Progress(*columns, console=console) as progress:
        bar = progress.add_task(run.recipe.family, total=total, completed=run.step, measured="")
        while not finished(run):
            started = perf_counter()
            loss = run.advance(next_stop(run) - run.step)
            scalars = {"loss/query_after_adapting": loss}
            if validation.due:
                scalars["score/validation"] = validation.validate()
            run.seconds += perf_counter() - started
            rate = progress.tasks[bar].speed or 0.0
            progress.update(bar, completed=run.step, measured=f"loss {loss:.4f} · {rate:.0f} steps/s")
            if log is not None:
                for name, value in scalars.items():
                    log.add_scalar(name, value, run.step)
            if first and (run.step % CHECKPOINT_EVERY == 0 or finished(run)):
                save_checkpoint(run, checkpoint)
    if out_of_patience(run.recipe, run.step, run.best):
        assert run.best is not None, "patience counts from the best score"
        console.print(f"stopped at outer step {run.step}: no better validation score since step {run.best.step}")


def next_stop(run: Run) -> int:
    """The next outer step after which there is something to report, to validate or to save."""
    last = run.recipe.outer_steps
    stops = (run.step - run.step % every + every for every in (REPORT_EVERY, CHECKPOINT_EVERY))
    return min(last, next_validation(run.recipe, run.step) or last, *stops)


def tensorboard(folder: Path, step: int) -> Any:
    """A TensorBoard writer that drops what an interrupted run logged after its last checkpoint.

    Raises TrainingError where TensorBoard is missing.
    """
    require(LOG)
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=step)
