"""Checks of the arguments of `train_table`, each with an error that names the argument."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from app.errors import TrainingError, expectation

TEXTS = ("task", "target", "order", "kind", "decimal", "algorithm", "name")
LISTS = ("inputs", "categories")
MAX_SEED = 2**63 - 1


def check_arguments(table: object, arguments: Mapping[str, Any]) -> None:
    """Raise TrainingError for the first argument of a type that it cannot have.

    arguments: by name, those that are not the table
    """
    if table is None:
        raise TrainingError(expectation("table", "a path, a DataFrame or a dict of columns", "None"))
    for name in TEXTS:
        if not isinstance(arguments[name], str):
            what = "the name of a column" if name in ("task", "target", "order") else "a text"
            raise TrainingError(expectation(name, what, repr(arguments[name])[:60], "leave it out for the default"))
    for name in LISTS:
        _check_names(name, arguments[name])
    _check_counts(arguments)
    for name in ("models_dir", "runs_dir"):
        if not isinstance(arguments[name], str | Path):
            raise TrainingError(expectation(name, "the path of a folder", repr(arguments[name])[:60]))
    console = arguments["console"]
    if console is not None and not isinstance(console, Console):
        raise TrainingError(expectation("console", "a rich.console.Console or None", repr(console)[:60]))


def _check_names(name: str, value: object) -> None:
    if isinstance(value, str) or not isinstance(value, Sequence):
        fix = f"write {name}=[{value!r}]" if isinstance(value, str) and "," not in value else "write a list of texts"
        raise TrainingError(expectation(name, "a list of names of columns", repr(value)[:60], fix))
    wrong = next((each for each in value if not isinstance(each, str)), None)
    if wrong is not None or None in value:
        raise TrainingError(expectation(name, "a list of names of columns", repr(value)[:60], "write names as texts"))


def _check_counts(arguments: Mapping[str, Any]) -> None:
    support, steps, seed = (arguments[name] for name in ("support", "outer_steps", "seed"))
    if not isinstance(support, list | tuple) or any(type(size) is not int for size in support):
        fix = "write a list of whole numbers, also of one"
        raise TrainingError(expectation("support", "numbers of known rows, such as (3, 5, 10, 20)", repr(support), fix))
    if steps is not None and (type(steps) is not int or steps < 1):
        raise TrainingError(expectation("outer_steps", "a whole number of at least 1, or None", repr(steps)))
    if type(seed) is not int or not 0 <= seed <= MAX_SEED:
        raise TrainingError(expectation("seed", f"a whole number from 0 to {MAX_SEED}", repr(seed)))
