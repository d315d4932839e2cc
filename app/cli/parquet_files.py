"""Files of examples and queries in Parquet, which take an extra."""

import io
import math
import re
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from app.errors import InnerloopError, expectation, shown

INDEX = re.compile(r"__index_level_\d+__")
"""Columns in which pandas keeps the index of a DataFrame."""


def read_parquet(data: bytes, name: str) -> tuple[list[str], list[dict[str, Any]]]:
    """The columns and the rows of a file. Raises InnerloopError."""
    try:
        from pyarrow import ArrowException, parquet  # an extra
    except ImportError as error:
        raise InnerloopError(f"{name} is a Parquet file, but pyarrow is not installed: pip install pyarrow") from error
    try:
        table = parquet.ParquetFile(io.BytesIO(data)).read()
    except (ArrowException, OSError) as error:
        raise InnerloopError(f"{name}: the Parquet file is cut off or damaged: {error}") from error
    columns = [column for column in table.column_names if not INDEX.fullmatch(column)]
    if twice := next((column for column in columns if columns.count(column) > 1), None):
        raise InnerloopError(f"{name}: two columns are called {shown(twice)}, so rename or remove one")
    if not table.num_rows:
        raise InnerloopError(expectation(name, "at least 1 row", 0))
    cells = [_read_column(table.column(column), f"{name}, {column}") for column in columns]
    return columns, [dict(zip(columns, row, strict=True)) for row in zip(*cells, strict=True)]


def _read_column(column: Any, place: str) -> Sequence[Any]:
    """The values of a column as JSON has them. Raises InnerloopError at `place`."""
    try:
        return [_plain(value) for value in column.to_pylist()]
    except TypeError as error:
        fix = "convert the column, a duration to a number of seconds for example"
        raise InnerloopError(
            expectation(place, "numbers, texts, booleans, dates, bytes or lists", column.type, fix)
        ) from error
    except (ValueError, OverflowError) as error:  # a time in nanoseconds, a year after 9999, a text that is not UTF-8
        raise InnerloopError(f"{place}: cannot read the column as {column.type}: {error}") from error


def _plain(value: Any) -> Any:
    """A value as JSON has it: None for NaN, dates as ISO 8601. Raises TypeError for one that JSON does not have."""
    match value:
        case float():
            return None if math.isnan(value) else value
        case None | bool() | int() | str() | bytes():
            return value
        case Decimal():
            return float(value)
        case datetime() | date() | time():
            return value.isoformat()
        case dict():
            return {name: _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
    raise TypeError(type(value).__name__)
