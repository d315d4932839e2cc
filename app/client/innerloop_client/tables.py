"""DataFrames and Series of pandas, as the server takes them."""

from collections.abc import Mapping
from typing import Any

from innerloop_client.arrays import is_a, to_wire
from innerloop_client.errors import UnsupportedInput


def is_table(values: Any) -> bool:
    """Whether a value is a DataFrame or a Series."""
    return is_a(values, "pandas", "DataFrame") or is_a(values, "pandas", "Series")


def column_names(model: Mapping[str, Any]) -> list[str]:
    """The names of the columns of a model; empty if they have none."""
    names = [column["name"] for column in model["inputs"]["columns"]]
    return names if all(names) else []


def read_table(table: Any, model: Mapping[str, Any], place: str) -> Any:
    """Inputs: objects with the columns if those of the model have names, otherwise numbers in the order of the columns.

    A Series is one column. Raises UnsupportedInput if a model of numbers gets other columns.
    """
    frame = table.to_frame() if is_a(table, "pandas", "Series") else table
    names = column_names(model)
    if names:
        return _objects(frame, names, model["inputs"].get("ignore_extra", False))
    if len(frame.columns) == 1 and frame.dtypes.iloc[0].kind not in "biuf":
        return read_column(frame.iloc[:, 0])  # texts, or images
    array = frame.to_numpy()
    if array.dtype.kind == "O" and all(each.kind in "biuf" for each in frame.dtypes):
        array = frame.to_numpy("float64", na_value=float("nan"))
    if array.dtype.kind not in "biuf":
        wrong = [str(name) for name, kind in frame.dtypes.items() if kind.kind not in "biuf"]
        columns = f"these columns have other values: {', '.join(wrong)}"
        raise UnsupportedInput(f"{place}: {model['name']} takes numbers, but {columns}")
    return to_wire(array, place)


def read_column(column: Any) -> list[Any]:
    """The values of a Series: None where one is missing, dates as ISO 8601."""
    values = column.astype(object).where(column.notna(), None).tolist()
    return [value.isoformat() if hasattr(value, "isoformat") else _python(value) for value in values]


def _objects(frame: Any, names: list[str], ignore_extra: bool) -> list[dict[str, Any]]:
    """An object for each row; the server says what is wrong with other columns, unless it ignores them."""
    names = [str(name) for name in frame.columns if not ignore_extra or str(name) in names]
    columns = [read_column(frame[name]) for name in frame.columns if str(name) in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _python(value: Any) -> Any:
    """A scalar of numpy as Python's."""
    return value.item() if hasattr(value, "item") else value
