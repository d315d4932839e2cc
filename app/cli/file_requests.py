"""The requests that post a file of examples or queries."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.cli.example_files import Csv, Rows, name_of
from app.errors import InnerloopError, expectation
from innerloop_client import Model
from innerloop_client.descriptions import reading
from innerloop_client.idempotency_key import new_key
from innerloop_client.session import Call
from innerloop_client.tables import NUMBERS, column_names

CSV = "text/csv"


def target_columns(model: Model, table: Csv | Rows, chosen: Sequence[str], file: Path) -> dict[str, str]:
    """The columns of a file that have the targets, and how the server calls them.

    chosen: by --target, or none for those that the server expects. Raises InnerloopError.
    """
    where = name_of(file)
    with reading("a model"):
        names = [column["name"] for column in model.target_columns]
    if not names:
        if chosen:
            fix = f"{model.name} learns from episodes, so leave --target out"
            raise InnerloopError(expectation("--target", "no column", chosen[0], fix))
        return {}
    if isinstance(table, Csv) and not has_names(model) and all(map(_is_number, table.columns)):
        fix = "begin the file with a line of names"
        raise InnerloopError(expectation(f"{where}, line 1", "names of columns", "numbers", fix))
    columns = ", ".join(table.columns)
    if not chosen and (missing := [name for name in names if name not in table.columns]):
        fix = f"name the column that has the target: {columns}"
        raise InnerloopError(f"--target: {where} has no column called {missing[0]}: {fix}")
    chosen = chosen or names
    if len(chosen) != len(names):
        expected = f"{len(names)} column{'s' if len(names) > 1 else ''} ({', '.join(names)})"
        raise InnerloopError(expectation("--target", expected, len(chosen)))
    for column, name in zip(chosen, names, strict=True):
        if list(chosen).count(column) > 1:
            raise InnerloopError(expectation("--target", "each column once", f"{column} twice"))
        if column not in table.columns:
            raise InnerloopError(expectation("--target", f"a column of {where} ({columns})", column))
        if table.columns.count(column) > 1:
            raise InnerloopError(f"--target: two columns of {where} are called {column}: rename or remove one")
        if name in table.columns and name not in chosen:
            why = f"{name} is the server's name for the target, and another column of {where} has it"
            raise InnerloopError(f"--target: {why}: rename or remove that column")
    return dict(zip(chosen, names, strict=True))


def adapt_call(model: Model, table: Csv | Rows, targets: Mapping[str, str], fields: dict[str, Any]) -> Call:
    """POST /adapt. targets: of `target_columns`; fields: of the body besides the examples. Raises InnerloopError."""
    if isinstance(table, Rows):
        return Call.of_body("/adapt", fields | {"support": _support(model, table, targets)}, key=new_key())
    if not targets:
        expected = f"JSON lines with an episode on each, as {model.name} learns from episodes"
        raise InnerloopError(expectation("FILE", expected, "CSV"))
    return Call("POST", "/adapt", table.renamed(targets), CSV, params=fields, key=new_key())


def predict_call(model: Model | None, table: Csv | Rows, fields: dict[str, Any], accept: str) -> Call:
    """POST /predict. model: what the server says of it, which only Rows need"""
    if isinstance(table, Csv):
        return Call("POST", "/predict", table.renamed({}), CSV, accept, params=fields)
    assert model is not None, "it says what the inputs are"
    if not has_names(model):
        queries = _inputs(model, table, table.columns)
    else:
        queries = _in_order(model, table) if model.inputs["encoder"] == NUMBERS else table.rows
    return Call.of_body("/predict", fields | {"queries": queries}, accept=accept)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def has_names(model: Model) -> bool:
    """Whether the columns of the inputs have names; otherwise they are numbers in their order, or a single value."""
    with reading("a model"):
        return bool(column_names(model.inputs))


def _support(model: Model, table: Rows, targets: Mapping[str, str]) -> dict[str, Any]:
    if not targets:
        return {"episodes": table.rows}
    if has_names(model):
        return {"rows": [{targets.get(name, name): value for name, value in row.items()} for row in table.rows]}
    values = table.values(list(targets))
    inputs = _inputs(model, table, [name for name in table.columns if name not in targets])
    return {"inputs": inputs, "targets": values if len(targets) > 1 else [value for (value,) in values]}


def _in_order(model: Model, table: Rows) -> list[list[Any]]:
    """Numbers in the order of the model's columns. Raises InnerloopError for other columns."""
    names = column_names(model.inputs)
    if sorted(table.columns) != sorted(names):
        raise InnerloopError(expectation("FILE", f"the columns {', '.join(names)}", ", ".join(table.columns)))
    return table.values(names)


def _inputs(model: Model, table: Rows, columns: list[str]) -> list[Any]:
    """Inputs without names, in the order of the columns. A column alone may have whole inputs: images, or lists."""
    values = table.values(columns)
    if len(columns) == 1 and all(isinstance(row[0], str | bytes | list) for row in values):
        return [row[0] for row in values]
    count = len(model.inputs["columns"])
    if 0 < count < len(columns):
        expected = f"{count} column{'' if count == 1 else 's'} of numbers"
        fix = f"remove the columns that are not inputs: {', '.join(columns)}"
        raise InnerloopError(expectation("FILE", expected, len(columns), fix))
    return values
