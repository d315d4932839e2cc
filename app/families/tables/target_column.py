"""What is to be predicted: a number or a label."""

from typing import NamedTuple

import numpy as np

from app.errors import DataError, expectation
from app.families.tables.column_data import ColumnData, read_column
from app.families.tables.number_text import units_in
from app.families.tables.raw_table import RawTable
from app.families.tables.table_spec import TableSpec
from app.families.tables.unread_formats import written_form

FEW_NUMBERS = 2
"""Whole numbers of at most so many values are labels, unless `--kind` says otherwise."""
MAX_LABELS = 100


class Target(NamedTuple):
    """The targets of all rows.

    kind: `regression` or `classification`
    values: float64, NaN where one is missing; for labels, indices of `labels`
    labels: as text, in order; empty for numbers
    reason: why it is of that kind, in words
    """

    kind: str
    values: np.ndarray
    labels: tuple[str, ...]
    reason: str


def read_target_data(raw: RawTable, spec: TableSpec) -> ColumnData:
    """The values of the column. Raises DataError where one does not fit the others."""
    values = {value for value in raw.columns[spec.target].tolist() if isinstance(value, str)}
    codes = "if they are labels" if spec.kind != "regression" and len(values) <= MAX_LABELS else ""
    category = spec.target in spec.categories
    return read_column(raw, spec.target, category=category, decimal=spec.decimal, codes=codes)


def read_target(raw: RawTable, column: ColumnData, kind: str) -> Target:
    """The targets. kind: what `--kind` says, or empty.

    Raises DataError where the column cannot be predicted: constant, empty, no numbers for regression.
    """
    name = column.name
    if not len(column.present):
        raise DataError(expectation(f"--target {name}", "a value in some rows", "none in any", "choose another column"))
    if column.distinct == 1:
        value = column.present[0]
        raise DataError(
            expectation(
                f"--target {name}",
                "values that differ",
                f"{value:g} in every row" if column.type == "number" else f"{value!r:.40} in every row",
                "choose another column",
            )
        )
    if column.type == "number" and kind != "classification":
        if kind or not column.is_whole or column.distinct > FEW_NUMBERS:
            return Target("regression", column.values, (), "numbers")
        return _labels(column, f"{column.distinct} whole numbers; add --kind regression if they are amounts")
    if column.type == "category":
        _check_no_units(raw, column)
    if kind != "classification" and not column.quoted_numbers:
        _check_no_numbers(raw, column)
    if column.quoted_numbers and kind != "classification":
        row = int(np.argmin(column.missing))
        fix = "write numbers without quotes, or add --kind classification if they are labels"
        raise DataError(
            expectation(f"--target {name}", "numbers or labels", f"{column.values[row]!r} in {raw.place(row)}", fix)
        )
    if kind == "regression":
        if column.type == "boolean":
            return Target("regression", column.values.astype(np.float64), (), "1 for true, 0 for false")
        fix = "use --kind classification for labels; add --decimal , if numbers have decimal commas"
        if column.type == "date":
            fix = "write dates as numbers, of days for example"
        row = int(np.argmin(column.missing))
        raise DataError(
            expectation(f"--target {name}", "numbers", f"{str(column.values[row])!r:.40} in {raw.place(row)}", fix)
        )
    if column.type == "date":
        fix = "write them as numbers, of days for example"
        raise DataError(expectation(f"--target {name}", "numbers or labels", "dates", fix))
    return _labels(
        column, "--kind classification" if kind else "texts" if column.type == "category" else "true or false"
    )


def _check_no_units(raw: RawTable, column: ColumnData) -> None:
    """Raise DataError where most texts are numbers with a unit beside them, such as 5 %."""
    unit = units_in([value for value in column.present if isinstance(value, str)])
    if unit:
        row = int(np.argmin(column.missing))
        fix = f"write numbers without {unit}; a unit may stand in the name of the column, as in cost ($)"
        actual = f"{str(column.values[row])!r:.40} in {raw.place(row)}"
        raise DataError(expectation(f"--target {column.name}", "numbers or labels", actual, fix))


def _check_no_numbers(raw: RawTable, column: ColumnData) -> None:
    """Raise DataError where nearly all texts look like numbers or dates in a form that is not read."""
    form = written_form(column)
    if form:
        row = int(np.argmin(column.missing))
        fix = f"{form.fix}, or add --kind classification if they are labels"
        actual = f"{str(column.values[row])!r:.40} in {raw.place(row)}"
        raise DataError(expectation(f"--target {column.name}", "numbers or labels", actual, fix))


def _labels(column: ColumnData, reason: str) -> Target:
    if column.distinct > MAX_LABELS:
        fix = "choose another column, or --kind regression for numbers"
        raise DataError(
            expectation(f"--target {column.name}", f"at most {MAX_LABELS} labels", f"{column.distinct:,}", fix)
        )
    if column.type == "number" and not column.is_whole:
        fix = "use --kind regression"
        raise DataError(expectation(f"--target {column.name}", "labels", "numbers that are not whole", fix))
    labels = sorted(set(column.present.tolist()), key=lambda value: (str(type(value)), value))
    places = {label: float(index) for index, label in enumerate(labels)}
    values = [
        np.nan if gone else places[value] for gone, value in zip(column.missing, column.values.tolist(), strict=True)
    ]
    texts = tuple(f"{each:g}" if column.type == "number" else str(each) for each in labels)
    return Target("classification", np.array(values), texts, reason)
