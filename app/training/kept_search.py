"""A search for an algorithm, with its result beside the checkpoint, so that interrupted training need not repeat it."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from app.atomic_write import write_atomically
from app.training.algorithm_search import Round, SearchResult, search_algorithm
from app.training.checkpoints import save_checkpoint
from app.training.recipes.recipe import Recipe
from app.training.training_run import Run

CHOICE = "choice.json"
"""The file of the result of a search, beside the checkpoint."""


def choose_algorithm(
    recipe: Recipe, start: Callable[[Recipe], Run], checkpoint: Path, console: Console, *, fresh: bool
) -> SearchResult:
    """Search for an algorithm, or take the result that an interrupted training left beside its checkpoint."""
    file = checkpoint.with_name(CHOICE)
    if file.exists() and checkpoint.exists() and not fresh:
        return SearchResult.from_json(json.loads(file.read_text()))
    search = search_algorithm(recipe, start, lambda each: console.print(round_text(each)))
    console.print(search.reason)
    return search


def save_search(search: SearchResult, run: Run, checkpoint: Path) -> None:
    """Save the result of a search, and the run that keeps the best of its meta-parameters."""
    save_checkpoint(run, checkpoint)
    write_atomically(checkpoint.with_name(CHOICE), json.dumps(search.as_json()).encode())


def always_validated(recipe: Recipe) -> Recipe:
    """The recipe with validations, so that training after a search ships nothing worse than the search has seen."""
    return dataclasses.replace(recipe, validate_every=recipe.validate_every or recipe.outer_steps)


def outer_steps_text(count: int) -> str:
    """A number of outer steps in words."""
    return f"{count} outer step{'' if count == 1 else 's'}"


def round_text(each: Round) -> str:
    """The scores of a round of the search, in a line."""
    scores = ", ".join(f"{name} {score:.4g}" for name, score in each.scores.items())
    return f"validation after {outer_steps_text(each.outer_steps)}: {scores}"
