"""The requests that post a file of examples or queries."""

from collections.abc import Mapping
from typing import Any

from app.cli.example_files import Csv, Rows
from app.cli.target_columns import has_names, target_names
from app.errors import InnerloopError, expectation
from innerloop_client import Model
from innerloop_client.descriptions import reading
from innerloop_client.idempotency_key import new_key
from innerloop_client.session import Call
from innerloop_client.tables import NUMBERS, column_names

CSV = "text/csv"


def adapt_call(model: Model, table: Csv | Rows, targets: Mapping[str, str], fields: dict[str, Any]) -> Call:
    """POST /adapt, for this version of the model alone. Raises InnerloopError.

    targets: of `target_columns`; fields: of the body besides the examples
    """
    fields = fields | {"model_digest": model.digest}
    if isinstance(table, Rows):
        return Call.of_body("/adapt", fields | {"support": _support(model, table, targets)}, key=new_key())
    if not targets:
        expected = f"JSON lines with an episode on each, as {model.name} learns from episodes"
        raise InnerloopError(expectation("FILE", expected, "CSV"))
    return Call("POST", "/adapt", table.renamed(targets), CSV, params=fields, key=new_key())


def predict_call(model: Model | None, table: Csv | Rows, fields: dict[str, Any], accept: str, file: str) -> Call:
    """POST /predict; rows that are not a CSV are for this version of the model alone. Raises InnerloopError.

    model: what the server says of it; a CSV may do without
    file: the name of that of the queries
    """
    if model is not None:
        _check_queries(model, table, file)
    if isinstance(table, Csv):
        return Call("POST", "/predict", table.renamed({}), CSV, accept, params=fields)
    assert model is not None, "it says what the inputs are"
    if not has_names(model):
        queries = _inputs(model, table, table.columns)
    else:
        queries = _in_order(model, table) if model.inputs["encoder"] == NUMBERS else table.rows
    return Call.of_body("/predict", fields | {"queries": queries, "model_digest": model.digest}, accept=accept)


def _support(model: Model, table: Rows, targets: Mapping[str, str]) -> dict[str, Any]:
    if not targets:
        return {"episodes": table.rows}
    if has_names(model):
        return {"rows": [{targets.get(name, name): value for name, value in row.items()} for row in table.rows]}
    values = table.values(list(targets))
    inputs = _inputs(model, table, [name for name in table.columns if name not in targets])
    return {"inputs": inputs, "targets": values if len(targets) > 1 else [value for (value,) in values]}


def _check_queries(model: Model, table: Csv | Rows, file: str) -> None:
    """Raise InnerloopError if the target would be an input, because the inputs have no names to tell it by."""
    with reading("a model"):
        target = next((name for name in target_names(model) if name in table.columns), None)
    if target is not None and not has_names(model):
        actual = f"a column called {target}, as its target is"
        fix = "remove the column, or rename it if it is an input"
        raise InnerloopError(expectation(file, f"only inputs of {model.name}", actual, fix))


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
