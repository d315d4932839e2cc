"""The examples of an adaptation as a CSV or as JSON lines, which `innerloop adapt` takes again."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from app.cli.example_files import write_csv
from app.errors import InnerloopError, expectation
from innerloop_client import Adaptation, Client
from innerloop_client.descriptions import reading

INPUT = "x"
"""The column of inputs whose columns have no names; `x_1`, `x_2` and so on if there are several."""


def export_support(client: Client, adaptation: Adaptation, form: str) -> tuple[bytes, str]:
    """The examples as the content of a file, and how many there are. form: .csv or .jsonl. Raises InnerloopError."""
    support = adaptation.support()
    unit = "episode" if "episodes" in support else "example"
    targets = client.model(adaptation.model).target_columns if unit == "example" else []
    with reading("the examples"):
        if unit == "episode":
            rows = [{name: value for name, value in each.items() if name != "stage"} for each in support["episodes"]]
        else:
            rows = _rows(support, [column["name"] for column in targets])
    for field in ("weights", "labels"):
        if field in support:
            typer.echo(f"the {field} of the examples are not in the file", err=True)
    about = f"{len(rows)} {unit}{'' if len(rows) == 1 else 's'}"
    text = _text(rows, form, unit)
    with reading("the examples"):
        return text.encode(), about


def _text(rows: Sequence[Mapping[str, Any]], form: str, unit: str) -> str:
    """An object or a line for each row. Raises InnerloopError if a CSV cannot have them."""
    if form == ".jsonl":
        return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[row.get(name) for name in columns] for row in rows]
    if any(isinstance(cell, list | dict) for line in cells for cell in line):
        what = "episodes" if unit == "episode" else "examples that are lists"
        raise InnerloopError(expectation("FILE", f"a name that ends in .jsonl for {what}", form))
    return write_csv(columns, cells)


def _rows(support: Mapping[str, Any], targets: Sequence[str]) -> list[dict[str, Any]]:
    """An object with the inputs and the targets of each example."""
    inputs = _named(support["inputs"])
    values = [each if isinstance(each, list) else [each] for each in support["targets"]]
    return [row | dict(zip(targets, value, strict=True)) for row, value in zip(inputs, values, strict=True)]


def _named(inputs: Sequence[Any]) -> list[dict[str, Any]]:
    """Inputs as objects. Rows of numbers of one length get a column for each number."""
    if all(isinstance(row, dict) for row in inputs):
        return list(inputs)
    if not all(isinstance(row, list) and len(row) == len(inputs[0]) for row in inputs):
        return [{INPUT: row} for row in inputs]
    names = [INPUT] if len(inputs[0]) == 1 else [f"{INPUT}_{number}" for number in range(1, len(inputs[0]) + 1)]
    return [dict(zip(names, row, strict=True)) for row in inputs]
