"""The values of a column with their type."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np

from app.encoders.columns.date import is_date
from app.errors import LONG_NUMBER, DataError, expectation, name_text, shown
from app.families.tables.number_text import leading_zero, read_numbers
from app.families.tables.numbers_of_table import read_numbers_of
from app.families.tables.odd_values import as_float
from app.families.tables.raw_table import RawTable

MAX_BITS = 10_000
"""Of a whole number that a message repeats. Python writes none of many more."""
MIXED = 0.5
"""A column of which more than this share are numbers is one of numbers: its other values are mistakes."""
NAMES = {"number": "numbers", "category": "categories", "boolean": "true or false", "date": "dates"}
"""The types of `app.encoders.columns`, as users call several values of them."""


@dataclass(frozen=True, eq=False)
class ColumnData:
    """The values of a column.

    type: a key of `app.encoders.columns.types.TYPES`
    values: float64 with NaN for numbers; otherwise objects, with None where one is missing
    note: how they were read, if in another way than usual
    quoted_numbers: whether they are texts that are all numbers, where other values may be numbers
    """

    name: str
    type: str
    values: np.ndarray
    note: str = ""
    quoted_numbers: bool = False

    @cached_property
    def missing(self) -> np.ndarray:
        """Which values are missing, bool [row]."""
        is_number = self.type == "number"
        return np.array(np.isnan(self.values) if is_number else [value is None for value in self.values], bool)

    @cached_property
    def present(self) -> np.ndarray:
        """The values that are not missing."""
        present: np.ndarray = self.values[~self.missing]
        return present

    @cached_property
    def distinct(self) -> int:
        """How many different values there are."""
        return len(set(self.present.tolist()))

    @property
    def is_whole(self) -> bool:
        """Whether it has whole numbers alone."""
        return self.type == "number" and bool((self.present == np.floor(self.present)).all())


def read_column(
    raw: RawTable, name: str, *, category: bool = False, decimal: str = "", codes: str = "if numbers are codes"
) -> ColumnData:
    """The values of a column, with the type that they show.

    category: whether its numbers are codes of categories
    decimal: `.` or `,`, where the user says which
    codes: when `--categories` mends a text among numbers, for the error; empty for never

    Raises DataError that names the line of a value that does not fit the others.
    """
    values = raw.columns[name]
    if values.dtype != object:  # numbers of a Parquet file or a DataFrame
        return _numbers(raw, name, values.astype(np.float64)) if not category else _codes(name, values)
    present = np.array([value is not None for value in values], bool)
    kinds = {type(value) for value in values[present]}
    if kinds <= {str}:
        return _from_text(raw, name, values, present, category=category, decimal=decimal, codes=codes)
    if kinds <= {bool}:
        return ColumnData(name, "boolean", values)
    if kinds <= {int, float, Decimal} and not category:
        return _numbers(raw, name, np.array([as_float(value) for value in values]))
    if kinds <= {int, float, bool, str} and category:
        return ColumnData(name, "category", values)
    if kinds <= {date, datetime}:
        return ColumnData(name, "date", values)
    raise _mixed(raw, name, values, present)


def _codes(name: str, values: np.ndarray) -> ColumnData:
    plain = np.empty(len(values), object)
    plain[:] = [None if value != value else int(value) if value == int(value) else float(value) for value in values]
    return ColumnData(name, "category", plain)


def _from_text(
    raw: RawTable, name: str, values: np.ndarray, present: np.ndarray, *, category: bool, decimal: str, codes: str
) -> ColumnData:
    texts = values[present].tolist()
    lowered = {text.strip().lower() for text in texts}
    if not raw.is_text:
        if texts and all(map(is_date, texts)):
            return ColumnData(name, "date", values)
        quoted = bool(texts) and not np.isnan(read_numbers(texts).numbers).any()
        return ColumnData(name, "category", values, "numbers in quotes" if quoted else "", quoted)
    if category:
        numbers = read_numbers(texts).numbers
        if not leading_zero(texts) and not np.isnan(numbers).any() and np.isfinite(numbers).all():
            coded = np.full(len(values), np.nan)
            coded[present] = numbers
            return _codes(name, coded)
        return ColumnData(name, "category", _stripped(values))
    if texts and lowered <= {"true", "false"}:
        return ColumnData(name, "boolean", _mapped(values, lambda text: text.strip().lower() == "true"))
    if texts and all(is_date(text.strip()) for text in texts):
        return ColumnData(name, "date", _stripped(values))
    reading = read_numbers_of(raw, texts, decimal)
    share = 1 - np.isnan(reading.numbers).mean() if texts else 1.0
    if share <= MIXED and not (decimal and reading.ambiguous):
        return ColumnData(name, "category", _stripped(values))
    numbers = np.full(len(values), np.nan)
    numbers[present] = reading.numbers
    if reading.ambiguous and (decimal or share == 1):
        fix = "say --decimal , if commas are decimal, --decimal . if points are"
        fix = f"write them all as --decimal {decimal} says" if decimal else fix
        raise DataError(expectation(f"{raw.name}, {name}", "numbers in one form", reading.ambiguous, fix))
    if share < 1:
        row = int(np.argmax(present & np.isnan(numbers)))
        count = int((~np.isnan(numbers)).sum())
        expected = f"a number, as in {count:,} other rows"
        fix = "correct it, or leave the cell empty if it is missing"
        if codes:
            fix = f"correct it, leave the cell empty if it is missing, or add --categories {name} {codes}"
        raise DataError(expectation(f"{raw.place(row)}, {name}", expected, shown(values[row]), fix))
    return _numbers(raw, name, numbers, reading.note)


def _numbers(raw: RawTable, name: str, numbers: np.ndarray, note: str = "") -> ColumnData:
    infinite = np.isinf(numbers) | (np.abs(numbers) > np.finfo(np.float32).max)
    if infinite.any():
        row = int(np.argmax(infinite))
        value = raw.columns[name][row]
        is_too_large = any(digit in str(value) for digit in "0123456789")
        fix = "use another unit" if is_too_large else "leave the cell empty if it is missing"
        raise DataError(expectation(f"{raw.place(row)}, {name}", "a finite number", _number_text(value), fix))
    return ColumnData(name, "number", numbers, note)


def _number_text(value: Any) -> str:
    """A number as the table has it."""
    if isinstance(value, float | np.floating):
        return f"{value:g}"
    is_long = isinstance(value, int) and value.bit_length() > MAX_BITS
    return LONG_NUMBER if is_long else name_text(str(value).strip())


def _mixed(raw: RawTable, name: str, values: np.ndarray, present: np.ndarray) -> DataError:
    """The error for a column with values of several types, or of one that no column has."""
    first = values[int(np.argmax(present))]
    numeric = int | float | Decimal

    def is_like_first(value: Any) -> bool:
        if isinstance(value, bool) or isinstance(first, bool):
            return type(value) is type(first)
        return isinstance(value, numeric) if isinstance(first, numeric) else type(value) is type(first)

    row = next((row for row, value in enumerate(values) if value is not None and not is_like_first(value)), None)
    if row is None:
        expected = "numbers, texts, true or false, or dates"
        fix = "leave the column out with --inputs, or convert it"
        return DataError(
            expectation(f"{raw.name}, {name}", expected, f"values of the type {type(first).__name__}", fix)
        )
    expected = f"values of one type, such as {first!r:.40} in the first row"
    return DataError(expectation(f"{raw.place(row)}, {name}", expected, f"{values[row]!r:.60}"))


def _stripped(values: np.ndarray) -> np.ndarray:
    return _mapped(values, str.strip)


def _mapped(values: Sequence[Any] | np.ndarray, function: Any) -> np.ndarray:
    mapped = np.empty(len(values), object)
    mapped[:] = [None if value is None else function(value) for value in values]
    return mapped
