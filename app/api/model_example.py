"""An example request for a bundle: what its inputs and targets look like in the body of POST /predict."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.api.bundle_columns import describe_inputs, describe_targets
from app.bundles.bundle import Bundle
from app.bundles.manifest import Manifest
from app.encoders.image import ImageEncoder, drawing
from app.encoders.text import OTHER_EXAMPLE, TextEncoder

LABELS = ("a", "b")
TEXT_LABELS = ("card_arrival", "balance")
"""Of the examples of the encoder of texts."""
NUMBERS = 0.0, 1.0


def example_request(bundle: Bundle) -> dict[str, Any]:
    """A body that POST /predict takes, and without `queries` POST /adapt: two examples and a query.

    The columns of the examples are within the range or among the categories of training, where these are known.
    """
    inputs, targets = describe_inputs(bundle), describe_targets(bundle.manifest)
    labels = TEXT_LABELS if inputs["encoder"] == TextEncoder.name else LABELS
    names = bundle.columns
    rows = [inputs["example"], _other_row(inputs)]
    if names:
        rows = [row if isinstance(row, dict) else dict(zip(names, row, strict=True)) for row in rows]
    if not targets:
        support: dict[str, Any] = {"episodes": [{"observations": rows, "actions": _actions(bundle.manifest)}]}
    elif names and not set(names) & {column["name"] for column in targets}:
        values = [{column["name"]: _targets(column, labels)[index] for column in targets} for index in range(len(rows))]
        support = {"rows": [row | value for row, value in zip(rows, values, strict=True)]}
    else:
        columns = [_targets(column, labels) for column in targets]
        support = {"inputs": rows, "targets": _transposed(columns)}
    return {"model": bundle.name, "support": support, "queries": rows[:1]}


def _other_row(inputs: Mapping[str, Any]) -> Any:
    """A row like the example, with another value in each column that has one, or another drawing."""
    columns, row = inputs["columns"], inputs["example"]
    if inputs["encoder"] == TextEncoder.name:
        return OTHER_EXAMPLE
    if inputs["encoder"] == ImageEncoder.name:
        return drawing(tuple(inputs["shape"]), upright=False)
    if not columns:
        return _raised(row)
    if isinstance(row, dict):
        return {column["name"]: _other(column, row[column["name"]]) for column in columns}
    return [_other(column, value) for column, value in zip(columns, row, strict=True)]


def _raised(row: Any) -> Any:
    """Nested lists of numbers, each 1 larger."""
    return [_raised(each) for each in row] if isinstance(row, list) else row + 1


def _other(column: Mapping[str, Any], value: Any) -> Any:
    ends = column.get("categories") or [column[end] for end in ("min", "max") if end in column]
    others = [end for end in ends if end != value]
    if others or column["type"] != "number":
        return others[-1] if others else value
    return value - 1 if column.get("max") == value else value + 1


def _targets(column: Mapping[str, Any], labels: Sequence[str]) -> Sequence[Any]:
    """Two targets."""
    if column["type"] == "label":
        return labels
    return [column.get(end, number) for end, number in zip(("min", "max"), NUMBERS, strict=True)]


def _transposed(columns: Sequence[Sequence[Any]]) -> list[Any]:
    """Targets by example: a value where there is one column, a list where there are more."""
    return list(columns[0]) if len(columns) == 1 else list(map(list, zip(*columns, strict=True)))


def _actions(manifest: Manifest) -> list[Any]:
    """Two actions: the first and the last, or two in the middle of a box."""
    actions = manifest.schema.actions
    if actions is None or not actions.is_box:
        return [0, manifest.schema.targets - 1]
    return 2 * [[(low + high) / 2 for low, high in zip(actions.low, actions.high, strict=True)]]
