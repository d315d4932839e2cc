"""What sorts the rows of a task: numbers, dates, or text that sorts as it is meant."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta

import numpy as np

from app.encoders.columns.date import EPOCH, DateColumn, Moment
from app.errors import DataError, expectation
from app.families.tables.column_data import ColumnData
from app.families.tables.number_text import read_numbers
from app.families.tables.raw_table import RawTable

WHOLE = re.compile(r"[+-]?[0-9]+")
NANOSECONDS = re.compile(r".*:\d\d\.\d{6}\d*[1-9].*")
LETTER = re.compile(r"(?<![^\W\d_])[^\W\d_](?![^\W\d_])")
"""A letter that stands alone, as in `A1`."""
LATE_YEAR = re.compile(r".*\d\D+(18|19|20|21)\d\d(\D.*)?")
SHORT_DATE = re.compile(r"\d{1,2}[./-]\d{1,2}([./-]\d{2,4})?(\D.*)?")
QUARTER = re.compile(r"[qQhH]\d\D+\d.*")
HALF_DAY = re.compile(r".*\d\s*[ap]\.?m\b.*", re.IGNORECASE)
UNSORTED = (LATE_YEAR, SHORT_DATE, QUARTER, HALF_DAY)
"""Dates and times whose text does not sort, although all have the same pattern."""
EXPECTED = "numbers, dates or text that sorts"
CURE = "write dates as 2026-03-31, times as 09:30, and numbers in texts with as many digits each, as in week 01"


def read_order(raw: RawTable, column: ColumnData, kept: np.ndarray) -> np.ndarray:
    """The rank of each row, int64; equal values have the same rank. Rows that are not kept have any rank.

    kept: the rows that have a task and a target, bool [row]

    Raises DataError where a value is missing, where all are equal, or where text may not sort as it is meant.
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
    ranks[kept] = _ranks(_sortable(raw, column, kept))
    return ranks


def check_sorts(name: str, ranks: Sequence[np.ndarray]) -> int:
    """How many tasks have a rank twice, so that the order of the file decides there.

    ranks: those of the rows of each task

    Raises DataError where no task has two ranks.
    """
    if any(np.ptp(each) > 0 for each in ranks):
        return sum(len(np.unique(each)) < len(each) for each in ranks)
    fix = "choose the column that says when each row of a task was measured, or leave --order out"
    raise DataError(expectation(f"--order {name}", "values that differ within a task", "one value in each task", fix))


def _ranks(values: Sequence[object] | np.ndarray) -> np.ndarray:
    if isinstance(values, np.ndarray) and values.dtype != object:
        return np.unique(values, return_inverse=True)[1]
    places = {value: place for place, value in enumerate(sorted(set(values)))}
    return np.array([places[value] for value in values], np.int64)


def _sortable(raw: RawTable, column: ColumnData, kept: np.ndarray) -> Sequence[object] | np.ndarray:
    """Values that sort, of the rows that are kept."""
    values: np.ndarray = column.values[kept]
    if column.type == "number":
        exact = _whole_numbers(raw.columns[column.name][kept].tolist())
        return values if exact is None else exact
    if column.type == "date":
        return _moments(column.name, values.tolist())
    if column.type == "boolean":
        return values.astype(np.int64)
    texts = [str(value).strip() for value in values]
    exact = _whole_numbers(texts)
    if exact is not None:
        return exact
    reading = read_numbers(texts)
    if not np.isnan(reading.numbers).any() and not reading.ambiguous:
        return reading.numbers
    _check_text(column.name, texts)
    return texts


def _whole_numbers(values: Sequence[object]) -> list[int] | None:
    """Whole numbers as they are written, as float64 does not tell large ones apart. None where others are among them.

    Python reads whole numbers of up to 4,300 digits.
    """
    if all(type(value) is int for value in values):
        return [value for value in values if isinstance(value, int)]
    texts = [value.strip() for value in values if isinstance(value, str)]
    if len(texts) < len(values) or not all(WHOLE.fullmatch(text) and len(text) < 1_000 for text in texts):
        return None
    return [int(text) for text in texts]


def _moments(name: str, values: Sequence[object]) -> list[int]:
    """Microseconds since 1970. Raises DataError for times that differ in nanoseconds."""
    fine = next((value for value in values if isinstance(value, str) and NANOSECONDS.fullmatch(value)), None)
    if fine is not None:
        fix = "write nanoseconds as whole numbers, in a column of their own"
        raise DataError(expectation(f"--order {name}", "times of at most six decimals", repr(fine), fix))
    dates = DateColumn.fit(name, values, {})
    return [(_moment(each) - EPOCH) // timedelta(microseconds=1) for each in dates.parse(values) if each is not None]


def _moment(moment: Moment) -> datetime:
    return moment if isinstance(moment, datetime) else datetime.combine(moment, time(), UTC)


def _check_text(name: str, texts: Sequence[str]) -> None:
    """Raise DataError where the order of the text may not be the one that is meant.

    Text sorts if all values have the same pattern, and differ in digits or in single letters alone.
    """
    unsorted = next((text for text in texts if any(form.fullmatch(text) for form in UNSORTED)), None)
    if unsorted is not None:
        raise DataError(expectation(f"--order {name}", EXPECTED, repr(unsorted)[:60], CURE))
    first = texts[0]
    other = next((text for text in texts if _pattern(text) != _pattern(first)), None)
    if other is not None:
        raise DataError(expectation(f"--order {name}", EXPECTED, f"{first!r:.40} and {other!r:.40}", CURE))


def _pattern(text: str) -> str:
    """A text with 0 for each digit, and a or A for each letter that stands alone."""
    return LETTER.sub(lambda letter: "A" if letter[0].isupper() else "a", re.sub(r"\d", "0", text))
