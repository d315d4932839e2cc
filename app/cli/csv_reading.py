"""What a CSV does not keep of examples: it is read as the server reads it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from app.cli.example_files import Csv, parse_examples
from app.errors import InnerloopError, printable, shown
from innerloop_client import Model
from innerloop_client.tables import column_names

UNREADABLE = "texts that a CSV cannot have, such as one with a NUL character"


def find_lost(text: str, columns: Sequence[str], cells: Sequence[Sequence[Any]], model: Model) -> str:
    """What the server would not read as it is, "" for nothing. text: a CSV of the values [row][column]"""
    from app.api.csv_cells import read_cells  # with the schemas of the server, which take a while to import
    from app.api.csv_text import CsvText

    types = _types(columns, model)
    try:
        table = parse_examples(text.encode(), "", "")
        rows = next(CsvText(text.encode()).rows(len(cells)), None)
        if not isinstance(table, Csv) or table.columns != list(columns) or rows is None:
            return UNREADABLE
        for index, (name, column) in enumerate(zip(columns, types, strict=True)):
            read = read_cells([line[index] for line in rows.cells], column)
            for line, value in zip(cells, read, strict=True):
                if not _same(line[index], value):
                    return f"{name} {_shown(line[index])}, which a CSV makes {_shown(value)}"
    except InnerloopError:
        return UNREADABLE
    return ""


def _types(columns: Sequence[str], model: Model) -> list[Mapping[str, Any]]:
    """What the server says of each column. Inputs whose columns have no names are numbers, or a text alone."""
    known = [*model.target_columns, *(model.inputs["columns"] if column_names(model.inputs) else ())]
    by_name: dict[str, Mapping[str, Any]] = {column["name"]: column for column in known}
    others = [name for name in columns if name not in by_name]
    is_text = len(others) == 1 and isinstance(model.inputs.get("example"), str)
    return [by_name.get(name, {"type": "text" if is_text else "number"}) for name in columns]


def _same(value: Any, other: Any) -> bool:
    """Whether two values of JSON are the same: 1, true and "1" are three."""
    return isinstance(value, bool) == isinstance(other, bool) and bool(value == other)


def _shown(value: Any) -> str:
    return printable(shown(value)) if isinstance(value, str) else json.dumps(value)
