"""What sorts the rows of a task: numbers, dates, or text that sorts."""

import re

import numpy as np

from app.encoders.columns.date import DateColumn
from app.errors import DataError, expectation
from app.families.tables.column_data import ColumnData
from app.families.tables.raw_table import RawTable

DAY_FIRST = re.compile(r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}.*")
"""Dates whose text does not sort."""


def read_order(raw: RawTable, column: ColumnData, kept: np.ndarray) -> np.ndarray:
    """The rank of each row, int64; equal values have the same rank. Rows that are not kept have any rank.

    kept: the rows that have a task and a target, bool [row]

    Raises DataError where a value is missing, or where the text of dates does not sort.
    """
    name = column.name
    missing = column.missing & kept
    if missing.any():
        row, count = int(np.argmax(missing)), int(missing.sum())
        actual = f"none in {raw.place(row)}" + (f" and {count - 1:,} more" if count > 1 else "")
        raise DataError(
            expectation(f"--order {name}", "a value in each row", actual, "fill it in or leave the row out")
        )
    ranks = np.zeros(raw.rows, np.int64)
    ranks[kept] = np.unique(_sortable(column, kept), return_inverse=True)[1]
    return ranks


def _sortable(column: ColumnData, kept: np.ndarray) -> np.ndarray:
    """Values that sort, of the rows that are kept."""
    values: np.ndarray = column.values[kept]
    if column.type == "number":
        return values
    if column.type == "date":
        dates = DateColumn.fit(column.name, values.tolist(), {})
        return np.array([str(text) for text in dates.canonical(dates.parse(values.tolist()))])
    texts = [str(value) for value in values]
    unsorted = next((text for text in texts if DAY_FIRST.fullmatch(text)), None)
    if unsorted is not None:
        expected, fix = "numbers, dates or text that sorts", "write dates as 2026-03-31, so that they sort"
        raise DataError(expectation(f"--order {column.name}", expected, repr(unsorted), fix))
    return np.array(texts)
