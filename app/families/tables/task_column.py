"""Whose row it is."""

import re
from unicodedata import normalize

import numpy as np

from app.errors import DataError, expectation
from app.families.tables.raw_table import RawTable

MIN_TASKS = 5
"""Two to train on, and others for validation and test."""
MIN_ROWS = 2
"""Of a task: one known and one to predict."""
WHOLE_AS_FLOAT = re.compile(r"[0-9]+\.0")
"""A whole number as pandas writes it in a column with missing values."""
NO_NAMES = (list, tuple, dict, set, bytes, np.ndarray)
"""Types of values that name no task."""
MAX_WHOLE = 1 << 53
"""Larger whole numbers are rounded in float64."""


def task_names(raw: RawTable, task: str) -> np.ndarray:
    """The name of each row's task as text, None where it is missing.

    Raises DataError where all rows are of one task, where each row is of another, or where names are broken numbers.
    """
    values = raw.columns[task]
    _check_named(raw, task, values)
    _check_whole(raw, task, values)
    names = np.empty(len(values), object)
    names[:] = [_name(value) for value in values]
    present = names[[name is not None for name in names]]
    if not len(present):
        raise DataError(expectation(f"--task {task}", "a name in each row", "none in any", "choose another column"))
    distinct = len(set(present))
    if distinct == 1:
        fix = "choose the column that says whose row it is; a single task needs no meta-learning"
        raise DataError(expectation(f"--task {task}", "several tasks", f"one, {present[0]!r:.40}", fix))
    if distinct == len(present):
        fix = "choose the column that says whose row it is, such as a patient or a shop"
        raise DataError(
            expectation(
                f"--task {task}", "several rows for each task", f"another task in each of {distinct:,} rows", fix
            )
        )
    return names


def _name(value: object) -> str | None:
    if value is None or value != value:
        return None
    if isinstance(value, float | np.floating):
        return str(int(value)) if value == int(value) else str(value)
    if isinstance(value, str) and WHOLE_AS_FLOAT.fullmatch(value.strip()):
        value = value.strip().partition(".")[0]  # 1 and 1.0 are one task, as in JSON
    return normalize("NFC", str(value).strip()) or None


def _check_named(raw: RawTable, task: str, values: np.ndarray) -> None:
    """Raise DataError for values that name nothing: lists, objects and bytes."""
    row = next((row for row, each in enumerate(values) if isinstance(each, NO_NAMES)), None)
    if row is not None:
        actual = f"a value of the type {type(values[row]).__name__} in {raw.place(row)}"
        raise DataError(expectation(f"--task {task}", "texts or whole numbers", actual, "choose another column"))


def _check_whole(raw: RawTable, task: str, values: np.ndarray) -> None:
    """Raise DataError for numbers that are not whole: measurements, not names."""
    row = next((row for row, value in enumerate(values) if value is not None and _is_fraction(value)), None)
    if row is None:
        return
    if isinstance(values[row], float) and MAX_WHOLE < abs(values[row]) < np.inf:
        fix = "write the names of tasks as text, as numbers so large are rounded"
        actual = f"{values[row]:.0f} in {raw.place(row)}"
        raise DataError(expectation(f"--task {task}", f"whole numbers up to {MAX_WHOLE:,}", actual, fix))
    fix = "choose the column that says whose row it is, or write its values as text"
    raise DataError(expectation(f"--task {task}", "texts or whole numbers", f"{values[row]} in {raw.place(row)}", fix))


def _is_fraction(value: object) -> bool:
    if isinstance(value, str):
        head, _, tail = value.strip().lstrip("+-").replace(",", ".", 1).partition(".")
        return head.isdecimal() and tail.isdecimal() and int(tail[:4_000]) > 0
    if not isinstance(value, float | np.floating) or value != value:
        return False
    return not abs(float(value)) <= MAX_WHOLE or not float(value).is_integer()
