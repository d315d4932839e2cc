"""Reading Parquet, and DataFrames through Arrow."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute, parquet

from app.errors import DataError, expectation
from app.families.tables.parquet_sample import sample_parquet
from app.families.tables.raw_table import EmptyTable, RawTable, check_names

PARQUET = b"PAR1"
MAX_ROWS = 200_000
"""A larger file is not read as a whole: of its tasks, so many are taken as have these rows."""
MAX_WHOLE = 1 << 53
"""A larger whole number may not be a float64."""
INDEX = re.compile(r"__index_level_\d+__")
"""Columns in which pandas keeps the index of a DataFrame."""


def read_parquet(path: Path, task: str = "", max_rows: int = MAX_ROWS) -> RawTable:
    """The columns of a Parquet file, of some tasks if it has more than `max_rows` rows.

    Raises DataError where it is damaged.
    """
    try:
        file = parquet.ParquetFile(path)
        rows, names = file.metadata.num_rows, file.schema_arrow.names
        check_names(names, path.name)
        if rows <= max_rows or task not in names:
            return from_arrow(file.read(), path.name, "Parquet")
        table, tasks = sample_parquet(path, task, max_rows)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path.name}: the Parquet file is cut off or damaged: {error}") from error
    return replace(from_arrow(table, path.name, "Parquet"), total_rows=rows, total_tasks=tasks)


def read_frame(frame: Any) -> RawTable:
    """The columns of a DataFrame of pandas or polars, of an Arrow table, or of a dict of columns."""
    name = "the table"
    if type(frame).__module__.partition(".")[0] == "pandas":
        return _from_pandas(frame, name)
    try:
        table = pa.table(frame)
    except (pa.ArrowException, TypeError, ValueError) as error:
        expected = "a path, a DataFrame or a dict of columns of the same length"
        raise DataError(expectation(name, expected, type(frame).__name__)) from error
    return from_arrow(table, name, "a DataFrame")


def _from_pandas(frame: Any, name: str) -> RawTable:
    """Column by column, as one of mixed types is an error only if it is used."""
    if type(frame).__name__ != "DataFrame":
        raise DataError(expectation(name, "a DataFrame", f"a {type(frame).__name__} of pandas"))
    if any(frame.index.names):
        frame = _with_index(frame)
    names = [str(each) for each in frame.columns]
    check_names(names, name)
    if not len(frame):
        raise EmptyTable(expectation(name, "at least 1 row", "none"))
    columns = {each: _pandas_values(frame.iloc[:, index]) for index, each in enumerate(names)}
    return RawTable(name, "a DataFrame", columns)


def _with_index(frame: Any) -> Any:
    """A DataFrame whose index is columns. A level that is a column already is left out."""
    doubled = [level for level, name in enumerate(frame.index.names) if name in frame.columns]
    if len(doubled) == frame.index.nlevels:
        return frame
    return frame.reset_index(doubled, drop=True).reset_index() if doubled else frame.reset_index()


def _pandas_values(series: Any) -> np.ndarray:
    try:
        return _values(pa.chunked_array([pa.array(series, from_pandas=True)]))
    except (pa.ArrowException, OverflowError):  # values of several types, a whole number of more than 64 bits
        values = np.empty(len(series), object)
        values[:] = [None if gone else value for value, gone in zip(series, series.isna(), strict=True)]
        return values


def from_arrow(table: Any, name: str, form: str) -> RawTable:
    """The columns of an Arrow table, numbers as float64, other values as objects."""
    names = [each for each in table.column_names if not INDEX.fullmatch(each)]
    check_names(names, name)
    if not table.num_rows:
        raise EmptyTable(expectation(name, "at least 1 row", "none"))
    return RawTable(name, form, {each: _values(table.column(each)) for each in names})


def _values(column: Any) -> np.ndarray:
    """float64 with NaN for numbers, objects with None for others, also for whole numbers that are no float64."""
    kind = column.type
    if pa.types.is_floating(kind) or (pa.types.is_integer(kind) and _fits_float64(column)):
        numbers: np.ndarray = column.cast(pa.float64(), safe=False).to_numpy()
        return numbers
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        try:
            column = column.cast(pa.timestamp("us", kind.tz))
        except pa.ArrowInvalid:  # times that differ in nanoseconds
            column = column.cast(pa.string())
    values = np.empty(len(column), object)
    try:
        values[:] = [None if value != value else value for value in column.to_pylist()]
    except (ValueError, OverflowError):  # a time in nanoseconds, a year after 9999
        values[:] = column.cast(pa.string()).to_pylist()
    return values


def _fits_float64(column: Any) -> bool:
    if column.type.bit_width <= 32 or column.null_count == len(column):
        return True
    ends = compute.min_max(column).as_py()
    return bool(ends["min"] >= -MAX_WHOLE and ends["max"] <= MAX_WHOLE)
