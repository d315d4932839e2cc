"""Training on a table by outer steps: one algorithm, or the best of a search."""

import dataclasses
import json
from functools import partial
from pathlib import Path

import torch
from rich.console import Console

from app.atomic_write import write_atomically
from app.families.table import Table
from app.training.algorithm_search import Round, SearchResult, search_algorithm
from app.training.checkpoints import restore_checkpoint, save_checkpoint
from app.training.loop import make_run, train_to_end
from app.training.recipe_variants import with_algorithm
from app.training.tables.table_recipe import AUTO, table_recipe
from app.training.tables.table_settings import TableSettings
from app.training.training_run import Run

CHECKPOINT, CHOICE = "checkpoint.safetensors", "choice.json"


def train_by_steps(
    settings: TableSettings, table: Table, folder: Path, console: Console
) -> tuple[Run, SearchResult | None]:
    """A finished run with its best meta-parameters. It continues from the checkpoint in `folder`, if there is one."""
    start = partial(make_run, device=torch.device("cpu"), compiled=False, family=table)
    recipe, search, checkpoint = table_recipe(settings, table), None, folder / CHECKPOINT
    if settings.algorithm in ("", AUTO):
        choice = folder / CHOICE
        if choice.exists() and checkpoint.exists():
            search = SearchResult.from_json(json.loads(choice.read_text()))
        else:
            search = search_algorithm(recipe, start, lambda each: console.print(_round_text(each)))
        console.print(search.reason)
        recipe = with_algorithm(recipe, search.algorithm)
        recipe = dataclasses.replace(recipe, validate_every=recipe.validate_every or recipe.outer_steps)
    run = start(recipe)
    if checkpoint.exists():
        restore_checkpoint(run, checkpoint)
        console.print(f"continuing from {checkpoint}, after outer step {run.step:,} of {recipe.outer_steps:,}")
    if search is not None and search.best is not None:
        run.keep_if_better(search.best)
        save_checkpoint(run, checkpoint)
        write_atomically(folder / CHOICE, json.dumps(search.as_json()).encode())
    train_to_end(run, checkpoint, console)
    run.take_best()
    return run, search


def _round_text(each: Round) -> str:
    scores = ", ".join(f"{name} {score:.4g}" for name, score in each.scores.items())
    return f"validation after {each.outer_steps:,} outer steps: {scores}"
