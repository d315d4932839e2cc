"""Files of examples and queries: CSV, JSON lines and Parquet. The content says which it is, not the name."""

import csv
import io
import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

from app.errors import InnerloopError, expectation, missing_package, shown

STDIN = Path("-")
PARQUET = b"PAR1"
"""The first bytes of a Parquet file."""
LINE = re.compile(r"\r\n|\r|\n")
INDEX = re.compile(r"__index_level_\d+__")
"""Columns in which pandas keeps the index of a DataFrame."""


@dataclass(frozen=True)
class Csv:
    """A CSV, whose cells the server reads.

    columns: their names, as the server reads them
    header: the text up to the first row; rest: the text from there on
    """

    columns: list[str]
    header: str
    rest: str

    def renamed(self, names: Mapping[str, str]) -> bytes:
        """The file, with new names for some columns. Each line keeps its number, for what the server says of it."""
        if all(old == new for old, new in names.items()):
            return (self.header + self.rest).encode()
        row = io.StringIO()
        csv.writer(row, lineterminator="").writerow([names.get(name, name) for name in self.columns])
        breaks = len(LINE.findall(self.header)) - len(LINE.findall(row.getvalue())) - 1
        return ("\n" * breaks + row.getvalue() + "\n" + self.rest).encode()


@dataclass(frozen=True)
class Rows:
    """Objects with values that have types. place: (number of a row, from 0) -> where it is in the file"""

    columns: list[str]
    rows: list[dict[str, Any]]
    place: Callable[[int], str]

    def values(self, columns: list[str]) -> list[list[Any]]:
        """The values of some columns, [row][column]. Raises InnerloopError where one is missing."""
        for index, row in enumerate(self.rows):
            if missing := [name for name in columns if name not in row]:
                expected = f"the columns {', '.join(columns)}"
                raise InnerloopError(expectation(self.place(index), expected, f"no {missing[0]}"))
        return [[row[name] for name in columns] for row in self.rows]


def read_examples(file: Path) -> Csv | Rows:
    """The examples or queries of a file, or of stdin for `-`. Raises InnerloopError."""
    name = "stdin" if file == STDIN else str(file)
    try:
        data = sys.stdin.buffer.read() if file == STDIN else file.read_bytes()
    except OSError as error:
        raise InnerloopError(f"FILE: cannot read {name}: {error.strerror}") from error
    if data.startswith(PARQUET):
        return _read_parquet(data, name)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        actual = f"the byte 0x{data[error.start]:02x}"
        expected, fix = "CSV or JSON lines in UTF-8, or Parquet", "save it as one of these"
        raise InnerloopError(expectation(name, expected, actual, fix)) from error
    if not text.strip():
        raise InnerloopError(expectation(name, "CSV, JSON lines or Parquet", "an empty file"))
    return _read_lines(text, name) if text.lstrip().startswith("{") else _read_csv(text, name)


def _read_csv(text: str, name: str) -> Csv:
    file = io.StringIO(text, newline="")
    reader = csv.reader(file, skipinitialspace=True)
    try:
        columns = next((row for row in reader if row), [])
    except csv.Error as error:
        raise InnerloopError(f"{name}, line {reader.line_num}: this is not CSV: {error}") from error
    header = text[: file.tell()]
    return Csv([column.strip() for column in columns], header, text[len(header) :])


def _read_lines(text: str, name: str) -> Rows:
    """Each line of JSON lines that is not blank."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    rows = []
    for number, line in lines:
        try:
            row = json.loads(line)
        except ValueError as error:
            place = f"{name}, line {number}"
            raise InnerloopError(expectation(place, "a JSON object on each line", shown(line.strip()))) from error
        if not isinstance(row, dict):
            raise InnerloopError(expectation(f"{name}, line {number}", "a JSON object", shown(line.strip())))
        rows.append(row)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return Rows(columns, rows, lambda index: f"line {lines[index][0]}")


def _read_parquet(data: bytes, name: str) -> Rows:
    try:
        from pyarrow import ArrowException, parquet  # an extra
    except ImportError as error:
        raise InnerloopError(f"{name} is a Parquet file, but {missing_package('pyarrow', 'parquet')}") from error
    try:
        table = parquet.read_table(io.BytesIO(data))
    except (ArrowException, OSError) as error:
        raise InnerloopError(f"{name}: the Parquet file is cut off or damaged: {error}") from error
    columns = [column for column in table.column_names if not INDEX.fullmatch(column)]
    rows = [{column: _plain(row[column]) for column in columns} for row in table.to_pylist()]
    if not rows:
        raise InnerloopError(expectation(name, "at least 1 row", 0))
    return Rows(columns, rows, lambda index: f"row {index + 1}")


def _plain(value: Any) -> Any:
    """A value as JSON has it: None for NaN, dates as ISO 8601."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return [_plain(each) for each in value] if isinstance(value, list) else value


def write_csv(columns: list[str], rows: list[list[Any]]) -> str:
    """Rows as the text of a CSV that the server reads."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([[str(value).lower() if isinstance(value, bool) else value for value in row] for row in rows])
    return file.getvalue()
