"""Training on the tasks of a family, from a recipe to a bundle, in one or several processes."""

import os
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from app.device import choose_device, describe
from app.training.algorithm_search import SearchResult
from app.training.checkpoints import restore_checkpoint
from app.training.data_parallel import processes
from app.training.kept_search import CHOICE, always_validated, choose_algorithm, outer_steps_text, save_search
from app.training.optional_packages import LOG, PLOTS, require
from app.training.overrides import AUTO, Overrides, choose_recipe
from app.training.print_text import print_text
from app.training.publish import write_bundle
from app.training.recipe_variants import with_algorithm
from app.training.train_to_end import make_run, train_to_end
from app.training.training_run import Run

CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class Place:
    """Where training reads, computes and writes.

    models_dir, runs_dir: the folders of all bundles, and of all checkpoints and logs
    data: the folder of the data set, for a family that reads one
    device: as for `choose_device`
    compiled: whether the outer step is compiled
    fresh: whether it starts again instead of continuing from the checkpoint
    """

    models_dir: Path
    runs_dir: Path
    data: Path | None = None
    device: str = "auto"
    compiled: bool = True
    fresh: bool = False


def train_family(overrides: Overrides, place: Place) -> None:
    """Train, and write the bundle. It does not return in processes other than the first."""
    require(LOG, PLOTS)
    checkpoint = place.runs_dir / overrides.bundle / CHECKPOINT
    with processes(choose_device(place.device)) as (group, device):
        console = Console(quiet=not group.first, markup=False)
        start = partial(make_run, device=device, compiled=place.compiled, processes=group, data=place.data)
        recipe, search = choose_recipe(overrides), None
        if overrides.algorithm == AUTO:
            search = choose_algorithm(recipe, start, checkpoint, console, fresh=place.fresh)
            recipe = always_validated(with_algorithm(recipe, search.algorithm))
        run = start(recipe)
        if checkpoint.exists() and not place.fresh:
            restore_checkpoint(run, checkpoint)
            console.print(
                f"continuing from {checkpoint}, after {run.step} of {outer_steps_text(run.recipe.outer_steps)}"
            )
        if search is not None and search.best is not None:
            run.keep_if_better(search.best)
            if group.first:
                save_search(search, run, checkpoint)
        train_to_end(run, checkpoint, console)
        if group.first:
            finish(run, checkpoint, place.models_dir / overrides.bundle, overrides.command, console, search)
    if not group.first:
        end_at_once()


def finish(
    run: Run, checkpoint: Path, folder: Path, command: str, console: Console, search: SearchResult | None = None
) -> None:
    """Write the bundle of the best meta-parameters, and remove the checkpoint and the result of the search."""
    if run.best is not None:
        console.print(f"best score on validation tasks: {run.best.score:.4g}, after {outer_steps_text(run.best.step)}")
    run.take_best()
    console.print(f"evaluating, and writing {folder}")
    manifest = write_bundle(run, folder, command, describe(run.device), search)
    checkpoint.unlink(missing_ok=True)
    checkpoint.with_name(CHOICE).unlink(missing_ok=True)
    print_text(console, (folder / "CARD.md").read_text())
    console.print(f"digest {manifest.digest}")


def end_at_once() -> None:
    """End this process without Python's own clean-up. Nothing is left to do.

    Within a moment of the last exchange with other processes, that clean-up sometimes aborts (SIGABRT, "terminate
    called without an active exception"). torchrun then stops the first process, before it has written the bundle.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
