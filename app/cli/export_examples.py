"""The examples of an adaptation as a CSV or as JSON lines, which `innerloop adapt` takes again."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from app.cli.csv_reading import find_lost
from app.cli.example_files import write_csv
from app.errors import InnerloopError, expectation
from innerloop_client import Adaptation, Client, Model
from innerloop_client.descriptions import reading
from innerloop_client.tables import column_names

INPUT = "x"
"""The column of inputs whose columns have no names; `x_1`, `x_2` and so on if there are several."""


def export_support(client: Client, adaptation: Adaptation, form: str) -> tuple[bytes, str]:
    """The examples as the content of a file, and how many there are. form: .csv or .jsonl. Raises InnerloopError."""
    support = adaptation.support()
    unit = "episode" if "episodes" in support else "example"
    model = client.model(adaptation.model)
    _check_names(model)
    with reading("the examples"):
        if unit == "episode":
            rows = [{name: value for name, value in each.items() if name != "stage"} for each in support["episodes"]]
        else:
            rows = _rows(support, model)
    for field in ("weights", "labels"):
        if field in support:
            typer.echo(f"the {field} of the examples are not in the file", err=True)
    with reading("the examples"):
        stages = len({each.get("stage") for each in support.get("episodes", ())})
    if stages > 1:
        text = f"the {stages} stages of the episodes are not in the file: `innerloop adapt` makes one stage of them"
        typer.echo(text, err=True)
    about = f"{len(rows)} {unit}{'' if len(rows) == 1 else 's'}"
    with reading("the examples"):
        text, lost = (_json_lines(rows), "") if form == ".jsonl" else _csv(rows, unit, model)
        content = text.encode()
    if lost:
        raise InnerloopError(expectation("FILE", f"a name that ends in .jsonl for {lost}", form))
    return content, about


def _check_names(model: Model) -> None:
    """Raise InnerloopError if an input and a target have the same name, as both are columns of a file."""
    with reading("a model"):
        names = column_names(model.inputs)
        both = next((column["name"] for column in model.target_columns if column["name"] in names), None)
    if both is not None:
        what = f"an input and the target of {model.name} are both called {both}"
        raise InnerloopError(f"FILE: {what}, so no file can have the examples")


def _json_lines(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def _csv(rows: Sequence[Mapping[str, Any]], unit: str, model: Model) -> tuple[str, str]:
    """A line for each row, and what is lost of them."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[row.get(name) for name in columns] for row in rows]
    if any(isinstance(cell, list | dict) for line in cells for cell in line):
        return "", "episodes" if unit == "episode" else "examples that are lists"
    text = write_csv(columns, cells)
    return text, find_lost(text, columns, cells, model)


def _rows(support: Mapping[str, Any], model: Model) -> list[dict[str, Any]]:
    """An object with the inputs and the targets of each example."""
    targets = [column["name"] for column in model.target_columns]
    inputs = _named(support["inputs"], column_names(model.inputs), targets)
    values = [each if isinstance(each, list) else [each] for each in support["targets"]]
    return [row | dict(zip(targets, value, strict=True)) for row, value in zip(inputs, values, strict=True)]


def _named(inputs: Sequence[Any], names: list[str], targets: Sequence[str]) -> list[dict[str, Any]]:
    """Inputs as objects. Rows of numbers of one length get a column for each number.

    names: of the columns of the model, if they have any
    """
    if all(isinstance(row, dict) for row in inputs):
        return list(inputs)
    word = INPUT
    while any(name.startswith(word) for name in targets):
        word = f"input_{word}"
    if not all(isinstance(row, list) and len(row) == len(inputs[0]) for row in inputs):
        return [{word: row} for row in inputs]
    if len(names) != len(inputs[0]):
        names = [word] if len(inputs[0]) == 1 else [f"{word}_{number}" for number in range(1, len(inputs[0]) + 1)]
    return [dict(zip(names, row, strict=True)) for row in inputs]
