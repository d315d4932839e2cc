"""The recipe of an algorithm that is trained in outer steps on a table."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from app.families.table import Table
from app.training.recipe_variants import with_algorithm
from app.training.recipes.recipe import Recipe
from app.training.recipes.registry import recipe_for
from app.training.tables.prepare_family import options_of
from app.training.tables.table_settings import TableSettings

AUTO = "auto"
QUERIES, OUTER_STEPS = 5, 2_000
"""For labels: queries of each, and steps of the algorithm that a search keeps."""


def table_recipe(settings: TableSettings, table: Table) -> Recipe:
    """The recipe of the family, with the sizes of the table and what the user says."""
    recipe = recipe_for("table")
    changes: dict[str, Any] = {
        "family_options": options_of(table),
        "shots": (0, max(settings.support)),
        "evaluation_shots": settings.support,
        "seed": settings.seed,
        "outer_steps": settings.outer_steps or recipe.outer_steps,
    }
    if table.kind == "classification":
        changes |= _of_labels(settings, table)
    recipe = dataclasses.replace(recipe, **changes)
    if settings.algorithm in ("", AUTO):
        return recipe
    return dataclasses.replace(
        with_algorithm(recipe, settings.algorithm), **{**changes, "algorithm": settings.algorithm}
    )


def known_rows(table: Table, support: Sequence[int]) -> list[int]:
    """The numbers of shots that stand for these numbers of known rows: for labels, as many rows of each label."""
    if table.kind == "regression":
        return [*support]
    return sorted({min(table.max_shots, max(1, size // table.targets)) for size in support})


def _of_labels(settings: TableSettings, table: Table) -> dict[str, Any]:
    """What differs for labels: shots and queries are of each label. `--support` counts all known rows of a task."""
    shots = known_rows(table, settings.support)
    return {
        "algorithm": "protonet",
        "shots": (1, shots[-1]),
        "evaluation_shots": tuple(shots),
        "queries": QUERIES,
        "scale_targets": False,
        "outer_steps": settings.outer_steps or OUTER_STEPS,
    }
