"""What sorts the rows of a task, and what is refused as its text sorts otherwise than people mean."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from app.errors import DataError
from app.families.tables.prepared_table import PreparedTable, prepare
from app.families.tables.raw_table import RawTable
from app.families.tables.table_spec import TableSpec

TASKS = 6


def ordered(values: list[Any], *, is_text: bool = False, **spec: Any) -> PreparedTable:
    """A table of which each task has these values of the order, and the targets 0, 1, 2, ... in that order."""
    columns: dict[str, list[Any]] = {"id": [], "x": [], "y": [], "w": []}
    for task in range(TASKS):
        for row, value in enumerate(values):
            for name, cell in zip(columns, (f"t{task}", task + row * row % 5 + 0.5, row, value), strict=True):
                columns[name].append(str(cell) if is_text else cell)
    arrays = {}
    for name, cells in columns.items():
        arrays[name] = np.empty(len(cells), object)
        arrays[name][:] = cells
    return prepare(RawTable("t", "made up", arrays, is_text), TableSpec("id", "y", order="w", inputs=("x",), **spec))


def order_of(values: list[Any], **options: Any) -> list[Any]:
    """The values as they were sorted."""
    first = ordered(values, **options).tasks()[0].targets[:, 0]
    return [values[int(row)] for row in first]


HALF = timedelta(microseconds=500_000)
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "values",
    [
        ["1", "6", "11", "16", "21", "26"],
        [2**60, 2**60 + 1, 2**60 + 2],
        [str(2**60), str(2**60 + 1), str(2**60 + 2)],
        [START, START + HALF, START + 2 * HALF],
        ["2026-01-01T10:00:00", "2026-01-01T10:00:00.5", "2026-01-01T10:00:01"],
        ["2026-01-01T12:00:00+02:00", "2026-01-01T11:00:00Z"],
        ["2026-W08", "2026-W09", "2026-W10"],
        ["week 01", "week 02", "week 11"],
        ["visit A", "visit B", "visit C"],
        ["09:30", "10:30", "11:00"],
        ["2026/09/01", "2026/10/01"],
        [False, True],
    ],
)
def test_rows_are_sorted_as_it_is_meant(values: list[Any]) -> None:
    assert order_of(values[::-1]) == values
    assert order_of(values[1:] + values[:1]) == values


def test_codes_sort_as_numbers() -> None:
    assert order_of([11, 1, 26, 6], categories=("w",)) == [1, 6, 11, 26]
    assert order_of([11, 1, 26, 6], categories=("w",), is_text=True) == [1, 6, 11, 26]
    assert order_of(["11", "1", "26", "6"], categories=("w",)) == ["1", "6", "11", "26"]


@pytest.mark.parametrize(
    ("values", "actual"),
    [
        (["week 1", "week 11", "week 6"], "got 'week 1' and 'week 11'"),
        (["2026-W10", "2026-W8"], "got '2026-W10' and '2026-W8'"),
        (["10:30", "9:30"], "got '10:30' and '9:30'"),
        (["2026/10/1", "2026/9/1"], "got '2026/10/1' and '2026/9/1'"),
        (["Apr 2026", "Feb 2026"], "got 'Apr 2026'"),
        (["2026 April", "2026 March"], "got '2026 April' and '2026 March'"),
        (["Q1 2026", "Q4 2025"], "got 'Q1 2026'"),
        (["Q1/26", "Q4/25"], "got 'Q1/26'"),
        (["01/26", "12/25"], "got '01/26'"),
        (["09:30 am", "01:30 pm"], "got '09:30 am'"),
        (["first", "second", "third"], "got 'first' and 'second'"),
        (["31.3.2026", "1.4.2026"], "got '31.3.2026'"),
    ],
)
@pytest.mark.parametrize("is_text", [False, True])
def test_text_that_does_not_sort(values: list[str], actual: str, is_text: bool) -> None:
    with pytest.raises(DataError) as error:
        ordered(values, is_text=is_text)
    assert f"--order w: expected numbers, dates or text that sorts, {actual}" in str(error.value)
    assert "write dates as 2026-03-31, times as 09:30" in str(error.value)


def test_nanoseconds_are_not_dropped_silently() -> None:
    with pytest.raises(DataError, match="expected times of at most six decimals"):
        ordered(["2026-01-01T10:00:00.000000002", "2026-01-01T10:00:00.000000001"])


def test_one_value_sorts_nothing() -> None:
    with pytest.raises(DataError, match="--order w: expected values that differ within a task, got one value in each"):
        ordered([7, 7, 7])
