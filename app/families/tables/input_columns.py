"""Which columns are inputs, and how each is encoded."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.encoders.columns.category import MAX_CATEGORIES
from app.errors import DataError, expectation
from app.families.tables.column_data import ColumnData, read_column
from app.families.tables.odd_values import check_tells_apart, odd_values
from app.families.tables.raw_table import RawTable
from app.families.tables.table_spec import TableSpec
from app.families.tables.unread_formats import written_form

UNIT = re.compile(r".*\S\s*[(\[]([^()\[\]]+)[)\]]\s*")
MOSTLY_DIFFERENT = 0.5
"""A text that is another one in more than this share of the rows says nothing about a new row."""
MOST_NAMED = 0.9
"""A column names the task if this share of the tasks have a value in it."""


@dataclass(frozen=True, eq=False)
class InputColumn:
    """A column that is an input, or is not.

    left_out: why it is none; empty if it is one
    data: its values; None where they could not be read
    """

    name: str
    data: ColumnData | None
    left_out: str = ""

    @property
    def options(self) -> dict[str, Any]:
        """Of the table encoder."""
        assert self.data is not None, "a column without values is left out"
        return {"type": self.data.type, "unit": unit_of(self.name), "may_be_missing": bool(self.data.missing.any())}


def unit_of(name: str) -> str:
    """The unit in the name of a column: `mg` of `dose (mg)`. Empty if there is none."""
    bracketed = UNIT.fullmatch(name)
    return bracketed[1].strip() if bracketed else ""


def input_columns(raw: RawTable, spec: TableSpec, tasks: np.ndarray, kept: np.ndarray) -> list[InputColumn]:
    """The columns of a table but for task and target, in the order of `--inputs`.

    tasks: the name of each row's task; kept: the rows that have a task and a target, bool [row]

    Raises DataError where a named column cannot be an input, or where no column is left.
    """
    named = [_named(raw, spec, name) for name in spec.inputs]
    if named:
        return named
    others = [name for name in raw.columns if name not in (spec.task, spec.target)]
    columns = [_unnamed(raw, spec, name, tasks, kept) for name in others]
    if all(column.left_out for column in columns):
        actual = "; ".join(f"{column.name}: {column.left_out}" for column in columns) or "none"
        mended = any(column.data is not None and written_form(column.data) for column in columns)
        fix = "write one of them so, or add another" if mended else "add one"
        raise DataError(expectation(raw.name, "a column to predict the target from", actual, fix))
    return columns


def _read(raw: RawTable, spec: TableSpec, name: str) -> ColumnData:
    return read_column(raw, name, category=name in spec.categories, decimal=spec.decimal)


def _named(raw: RawTable, spec: TableSpec, name: str) -> InputColumn:
    data = _read(raw, spec, name)
    if data.type == "number":
        check_tells_apart(raw, name, "--inputs")
    if not len(data.present):
        raise DataError(expectation(f"--inputs {name}", "a value in some rows", "none in any", "leave it out"))
    return InputColumn(name, data)


def _unnamed(raw: RawTable, spec: TableSpec, name: str, tasks: np.ndarray, kept: np.ndarray) -> InputColumn:
    if name not in spec.categories and (odd := odd_values(raw, name)):
        return InputColumn(name, None, odd)
    data = _read(raw, spec, name)
    return InputColumn(name, data, _reason(data, tasks, kept))


def _reason(data: ColumnData, tasks: np.ndarray, kept: np.ndarray) -> str:
    """Why a column that was not named is no input; empty if it is one."""
    if not len(data.present):
        return "no values"
    if data.distinct == 1:
        return "the same value in every row"
    if data.type == "category" and data.distinct > max(MAX_CATEGORIES, MOSTLY_DIFFERENT * len(data.present)):
        form = written_form(data)
        return f"{data.distinct:,} different texts, another in nearly each row" + (f"; {form.fix}" if form else "")
    if data.is_whole and _counts_rows(data):
        return "counts the rows"
    if (data.type in ("category", "date") or data.is_whole) and names_the_task(data, tasks, kept):
        return "names the task: each task has one value, and no other task has it"
    return ""


def _counts_rows(data: ColumnData) -> bool:
    return not data.missing.any() and len(data.values) > 2 and bool((np.diff(data.values) == 1).all())


def names_the_task(data: ColumnData, tasks: np.ndarray, kept: np.ndarray) -> bool:
    """Whether a column has one value in each task, which no other task has, where it has a value."""
    rows = np.flatnonzero(kept & ~data.missing)
    pairs = set(zip(tasks[rows].tolist(), data.values[rows].tolist(), strict=True))
    named = {task for task, _ in pairs}
    all_tasks = set(tasks[kept].tolist())
    if len(named) < max(2, MOST_NAMED * len(all_tasks)) or len(rows) == len(named) < len(tasks[kept]):
        return False
    return len(pairs) == len(named) == len({value for _, value in pairs})
