"""What a user has, as the server takes it: examples, targets and queries."""

import sys
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from innerloop_client.arrays import Array, as_numpy, is_a, packed
from innerloop_client.body_encoding import LARGE
from innerloop_client.descriptions import Models
from innerloop_client.errors import UnsupportedInput
from innerloop_client.images import is_image, names_image, read_image
from innerloop_client.tables import is_table, read_column, read_table
from innerloop_client.value_encoding import PLAIN, as_names, as_text, plain, to_wire


async def read_inputs(models: Models, model: str, values: Any, place: str) -> Any:
    """Inputs of a model as they are sent. Raises UnsupportedInput.

    The server is asked about the model where that matters: for DataFrames, and for texts that may name image files.
    """
    _check_model(model)
    if is_table(values):
        values = read_table(values, await models.model(model), place)
    rows = _rows(values, place)
    if isinstance(rows, Array):
        return rows
    large = packed(rows, LARGE)
    if large is not None:
        return large
    if all(map(_is_plain, rows)):
        return rows
    if any(map(names_image, rows)) and (await models.model(model))["inputs"]["encoder"] == "image":
        rows = [Path(row) if names_image(row) else row for row in rows]
    arrays = [as_numpy(row, f"{place}[{index}]") for index, row in enumerate(rows)]
    if arrays and all(each is not None and each.shape == arrays[0].shape and each.ndim for each in arrays):
        rows = to_wire(sys.modules["numpy"].stack(arrays), place)
        if isinstance(rows, Array):
            return rows
    return [
        read_image(row, f"{place}[{index}]") if is_image(row) else plain(row, f"{place}[{index}]")
        for index, row in enumerate(rows)
    ]


def count_inputs(inputs: Any) -> int:
    """How many inputs there are in what `read_inputs` returns."""
    if isinstance(inputs, Array):
        return len(inputs.values)
    return inputs["shape"][0] if isinstance(inputs, dict) else len(inputs)


def read_values(values: Any, place: str) -> Any:
    """Targets, weights, classes or actions as they are sent. Raises UnsupportedInput."""
    if is_a(values, "pandas", "Index"):
        values = values.to_series()
    if is_a(values, "pandas", "Series"):
        values = read_column(values)
    rows = _rows(values, place)
    if isinstance(rows, Array) or PLAIN.issuperset(map(type, rows)):
        return rows
    return [plain(value, f"{place}[{index}]") for index, value in enumerate(rows)]


async def read_support(
    models: Models,
    model: str,
    x: Any = None,
    y: Any = None,
    weights: Any = None,
    labels: Any = None,
    episodes: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """A support set as it is sent. y may be the name of a column of the DataFrame x."""
    support: dict[str, Any] = {}
    if isinstance(y, str):
        x, y = _split(x, y)
    if x is not None:
        support["inputs"] = await read_inputs(models, model, x, "x")
    for name, values, place in (("targets", y, "y"), ("weights", weights, "weights"), ("labels", labels, "labels")):
        if values is not None:
            support[name] = _unnested(read_values(values, place))
    if episodes is not None:
        rows = _rows(episodes, "episodes")
        if isinstance(rows, Array):
            raise UnsupportedInput("episodes: expected a list of episodes, got numbers")
        numbered = enumerate(rows)
        support["episodes"] = [await _episode(models, model, each, f"episodes[{index}]") for index, each in numbered]
    return support


def _check_model(name: Any) -> None:
    """Raise UnsupportedInput unless this can be the name of a model."""
    if not isinstance(name, str):
        raise UnsupportedInput(f"model: expected the name of a model, got {type(name).__name__}")
    as_text(name, "model")


def _split(x: Any, y: str) -> tuple[Any, Any]:
    """A DataFrame without a column, and that column. Raises UnsupportedInput."""
    if not is_a(x, "pandas", "DataFrame"):
        raise UnsupportedInput(f"y: the name of a column needs a DataFrame as x, got {type(x).__name__}")
    count = list(x.columns).count(y)
    if count != 1:
        columns = ", ".join(map(str, x.columns))
        actual = f"{y!r}, which {count} columns are called" if count else repr(y)
        raise UnsupportedInput(f"y: expected a column of x ({columns}), got {actual}")
    return x.drop(columns=y), x[y]


async def _episode(models: Models, model: str, episode: Any, place: str) -> dict[str, Any]:
    if not isinstance(episode, Mapping):
        raise UnsupportedInput(f"{place}: expected observations, actions and rewards, got {type(episode).__name__}")
    read = {}
    for name, values in zip(as_names(episode, place), episode.values(), strict=True):
        where = f"{place}.{name}"
        is_input = name == "observations"
        read[name] = await read_inputs(models, model, values, where) if is_input else read_values(values, where)
    return read


def _is_plain(row: Any) -> bool:
    """Whether a row is a list that can be sent as it is. Most are, so this is asked first."""
    return type(row) is list and PLAIN.issuperset(map(type, row))


def _rows(values: Any, place: str) -> Any:
    """An array as an `Array` where it has numbers, and anything else as a list of rows."""
    array = as_numpy(values, place)
    if array is not None:
        return to_wire(array, place)
    if isinstance(values, type):
        raise UnsupportedInput(f"{place}: expected a list or an array, got a class")
    single = (str, bytes, bytearray, memoryview, Mapping, PathLike)
    is_single = isinstance(values, single) or hasattr(values, "read")
    if is_single or not hasattr(values, "__iter__"):
        actual = f"got {type(values).__name__}: put a single value into a list"
        raise UnsupportedInput(f"{place}: expected a list or an array, {actual}")
    return list(values)


def _unnested(values: Any) -> Any:
    """A value for each example, which may come as a column: [["a"], ["b"]]."""
    if isinstance(values, Array):
        return Array(values.values[:, 0]) if values.values.shape[1:] == (1,) else values
    is_column = all(isinstance(row, list) and len(row) == 1 for row in values)
    return [row[0] for row in values] if is_column else values
