"""Training on a table by outer steps: one algorithm, or the best of a search."""

from functools import partial
from pathlib import Path

import torch
from rich.console import Console

from app.families.table import Table
from app.training.algorithm_search import SearchResult
from app.training.checkpoints import restore_checkpoint
from app.training.kept_search import always_validated, choose_algorithm, save_search
from app.training.recipe_variants import with_algorithm
from app.training.tables.table_recipe import AUTO, table_recipe
from app.training.tables.table_settings import TableSettings
from app.training.train_family import CHECKPOINT
from app.training.train_to_end import make_run, train_to_end
from app.training.training_run import Run


def train_by_steps(
    settings: TableSettings, table: Table, folder: Path, console: Console
) -> tuple[Run, SearchResult | None]:
    """A finished run with its best meta-parameters. It continues from the checkpoint in `folder`, if there is one."""
    start = partial(make_run, device=torch.device("cpu"), compiled=False, family=table)
    recipe, search, checkpoint = table_recipe(settings, table), None, folder / CHECKPOINT
    if settings.algorithm in ("", AUTO):
        search = choose_algorithm(recipe, start, checkpoint, console, fresh=False)
        recipe = always_validated(with_algorithm(recipe, search.algorithm))
    run = start(recipe)
    if checkpoint.exists():
        restore_checkpoint(run, checkpoint)
        console.print(f"continuing from {checkpoint}, after outer step {run.step:,} of {recipe.outer_steps:,}")
    if search is not None and search.best is not None:
        run.keep_if_better(search.best)
        save_search(search, run, checkpoint)
    train_to_end(run, checkpoint, console)
    run.take_best()
    return run, search
