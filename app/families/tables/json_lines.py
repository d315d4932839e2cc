"""Reading JSON lines: an object on each line."""

import json
from typing import Any

import numpy as np

from app.errors import LONG_NUMBER, READABLE, DataError, expectation, has_long_number, shown
from app.families.tables.raw_table import EmptyTable, RawTable
from app.families.tables.table_text import TableText


def read_json_lines(file: TableText, name: str) -> RawTable:
    """The columns of all objects; a value is missing where an object lacks its key. Raises DataError with the line."""
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    for number, line in enumerate(file.text.split("\n"), 1):
        if line.strip():
            rows.append(_object(line, f"{name}, line {number:,}"))
            lines.append(number)
    names = list(dict.fromkeys(key for row in rows for key in row))
    if not names:
        raise EmptyTable(expectation(name, "objects with values", "empty objects only"))
    columns = {each: _column([row.get(each) for row in rows]) for each in names}
    return RawTable(name, f"JSON lines, {file.encoding}", columns, place=lambda row: f"line {lines[row]:,}")


def _column(values: list[Any]) -> np.ndarray:
    column = np.empty(len(values), object)
    column[:] = values
    return column


def _object(line: str, place: str) -> dict[str, Any]:
    try:
        row = json.loads(line, object_pairs_hook=_without_repeats)
    except _RepeatedKey as error:
        raise DataError(expectation(place, "each name once", f"two of {shown(str(error))}")) from error
    except RecursionError as error:
        raise DataError(expectation(place, "a JSON object", "lists inside lists too deep to read")) from error
    except ValueError as error:
        if has_long_number(error):
            raise DataError(expectation(place, READABLE, LONG_NUMBER)) from error
        raise DataError(expectation(place, "a JSON object", shown(line), "write one object on each line")) from error
    if not isinstance(row, dict):
        raise DataError(expectation(place, "a JSON object", shown(line), "write one object on each line"))
    return {key: None if value != value else value for key, value in row.items()}


class _RepeatedKey(ValueError):
    """A name is twice in an object."""


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise _RepeatedKey(next(name for index, name in enumerate(names) if name in names[:index]))
    return row
