"""DataFrames and Series of pandas, as the server takes them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from innerloop_client.arrays import is_a
from innerloop_client.descriptions import names_of
from innerloop_client.errors import UnsupportedInput
from innerloop_client.value_encoding import as_names

NUMBERS = "numbers"
"""The encoder of models whose inputs are rows of numbers."""
SINGLE = {"text": "texts", "image": "images"}
"""What inputs are, by the encoders whose inputs are single values."""
MAX_NAMES = 300
"""Characters of the names of the user that a message repeats."""


def is_table(values: Any) -> bool:
    """Whether a value is a DataFrame or a Series."""
    return is_a(values, "pandas", "DataFrame") or is_a(values, "pandas", "Series")


def is_other_table(values: Any) -> bool:
    """Whether a value is a table of another library, such as polars: only its numbers would be sent."""
    return hasattr(values, "to_pandas") and len(getattr(values, "shape", ())) == 2


def refuse_other_table(values: Any, what: str, place: str) -> None:
    """Raise UnsupportedInput for a table of another library. what: what has names, such as `inputs`"""
    if is_other_table(values):
        actual = f"expected a DataFrame of pandas, as the {what} have names, got {type(values).__name__}"
        raise UnsupportedInput(f"{place}: {actual}: send its to_pandas()")


def column_names(inputs: Mapping[str, Any]) -> list[str]:
    """The names of the columns of a model's inputs; empty if they have none."""
    names = [column["name"] for column in inputs["columns"]]
    return names if all(names) else []


def target_names(model: Mapping[str, Any]) -> list[str]:
    """The names of the targets of a model, or of the numbers of its actions; empty unless there are several."""
    actions = model.get("actions") or {}
    if actions:
        names = actions.get("names", ()) if actions.get("form") == "box" else ()
    else:
        names = names_of(model.get("target_columns", ()))
    return list(names) if len(names) > 1 and all(names) else []


def names_for(given: Sequence[Sequence[str]], names: Sequence[str]) -> Sequence[str]:
    """The names of targets that decide; none if the targets have no names of their own and are called otherwise.

    given: the names that the rows of the user have; names: those that the server says
    """
    unnamed = [f"target_{number}" for number in range(1, len(names) + 1)]
    are_used = any(sorted(each) == sorted(unnamed) for each in given)
    return () if list(names) == unnamed and not are_used else names


def without_multi_index(values: Any) -> Any:
    """A MultiIndex as a DataFrame, and anything else as it is."""
    return values.to_frame(index=False) if is_a(values, "pandas", "MultiIndex") else values


def read_table(table: Any, model: Mapping[str, Any], place: str) -> Any:
    """Inputs: an array of the columns' numbers, or objects with the columns for a model that takes more than numbers.

    If the columns of the model have names, those of the table need the same, unless they are 0, 1, 2 and so on. A
    Series is one column, and a single column without numbers is a list. Raises UnsupportedInput.
    """
    names = column_names(model["inputs"])
    single = SINGLE.get(model["inputs"].get("encoder", ""))
    if single and is_a(table, "pandas", "DataFrame") and _has_other_values(table) and len(table.columns) != 1:
        actual = f"{len(table.columns)} ({listed(table.columns)})" if len(table.columns) else "none"
        raise UnsupportedInput(f"{place}: {model['name']} takes {single}: expected 1 column, got {actual}")
    if is_a(table, "pandas", "Series"):
        _refuse_single_row(table, names, place)
        frame = table.to_frame()
    else:
        frame = table.infer_objects()  # numbers in columns of objects
    if names and model["inputs"].get("encoder") == NUMBERS:
        if not is_a(table, "pandas", "Series"):  # the name of a Series does not matter
            frame = in_order(frame, names, place)
    elif names and has_default_names(frame):
        return list(map(list, _rows(frame, range(len(frame.columns)))))
    elif names:
        return _objects(frame, names if model["inputs"].get("ignore_extra") else None, place)
    if len(frame.columns) == 1 and frame.dtypes.iloc[0].kind not in "biuf":
        return read_column(frame.iloc[:, 0])  # texts, or images
    array = frame.to_numpy()
    if array.dtype.kind == "O" and all(each.kind in "biuf" for each in frame.dtypes):
        array = frame.to_numpy("float64", na_value=float("nan"))
    if array.dtype.kind not in "biuf":
        wrong = [str(name) for name, kind in frame.dtypes.items() if kind.kind not in "biuf"]
        columns = f"these columns have other values: {listed(wrong)}"
        raise UnsupportedInput(f"{place}: {model['name']} takes numbers, but {columns}")
    return array


def _has_other_values(frame: Any) -> bool:
    """Whether a DataFrame has columns of other values than numbers."""
    return any(kind.kind not in "biuf" for kind in frame.infer_objects().dtypes)


def listed(names: Iterable[Any]) -> str:
    """Names in a message, cut if they are long."""
    text = ", ".join(map(str, names))
    return text if len(text) <= MAX_NAMES else f"{text[:MAX_NAMES]}..."


def _refuse_single_row(series: Any, names: list[str], place: str) -> None:
    """Raise UnsupportedInput for a Series that is one row of a DataFrame: a Series is a column."""
    if len(names) > 1 and set(series.index) == set(names):
        raise UnsupportedInput(f"{place}: expected rows, got a Series that is one row: send it in a list, [row]")


def read_column(column: Any) -> list[Any]:
    """The values of a Series: None where one is missing."""
    values: list[Any] = column.astype(object).where(column.notna(), None).tolist()
    return values


def has_default_names(frame: Any) -> bool:
    """Whether the columns of a DataFrame have no names of their own: they have numbers, or are called 0, 1, 2, …"""
    numbered = list(map(str, range(len(frame.columns))))
    return all(isinstance(each, int) for each in frame.columns) or list(frame.columns) == numbered


def in_order(frame: Any, names: Sequence[str], place: str) -> Any:
    """The columns in the order of the model. Raises UnsupportedInput for others than these."""
    if has_default_names(frame):
        return frame
    columns = list(map(str, frame.columns))
    if sorted(columns) != sorted(names):
        raise UnsupportedInput(f"{place}: expected the columns {', '.join(names)}, got {listed(columns)}")
    return frame.iloc[:, [columns.index(name) for name in names]]


def _objects(frame: Any, wanted: Sequence[str] | None, place: str) -> list[dict[str, Any]]:
    """An object for each row. wanted: the columns to send; None sends all, and the server says what is wrong."""
    kept = [index for index, name in enumerate(frame.columns) if wanted is None or str(name) in wanted]
    names = as_names(frame.columns[kept], f"{place}.columns")
    return [dict(zip(names, row, strict=True)) for row in _rows(frame, kept)]


def _rows(frame: Any, kept: Iterable[int]) -> Iterable[tuple[Any, ...]]:
    """The rows of some columns. A row of pandas has one type, so whole numbers beside floats would be rounded."""
    columns = [read_column(frame.iloc[:, index]) for index in kept]
    return zip(*columns, strict=True) if columns else [()] * len(frame)
