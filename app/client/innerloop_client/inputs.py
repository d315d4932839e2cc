"""What a user has, as the server takes it: examples, targets and queries."""

import sys
from collections.abc import Iterator, Mapping
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any

from innerloop_client.arrays import Array, as_numpy, is_a, packed
from innerloop_client.body_encoding import LARGE
from innerloop_client.descriptions import Models
from innerloop_client.errors import UnsupportedInput
from innerloop_client.images import is_image, may_be_other, names_image, read_image
from innerloop_client.named_rows import as_objects, by_names, have_names, rows_with_names
from innerloop_client.tables import (
    NUMBERS,
    SINGLE,
    column_names,
    is_other_table,
    is_table,
    read_column,
    read_table,
    refuse_other_table,
    without_multi_index,
)
from innerloop_client.value_encoding import PLAIN, as_text, plain, to_wire

WITHOUT_IMAGES = {"text": "a text", NUMBERS: "numbers", "table": "a row of a table"}
"""What a row is, by the encoders that take no images."""


def repeatable(values: Any) -> Any:
    """The same, so that it can be read again: an iterator as a list."""
    return list(values) if isinstance(values, Iterator) and not hasattr(values, "read") else values


async def read_inputs(models: Models, model: str, values: Any, place: str) -> Any:
    """Inputs of a model as they are sent. Raises UnsupportedInput.

    The server is asked about the model where that matters: for rows with names, and texts that may name image files.
    """
    _check_model(model)
    is_plain = are_plain(values)
    rows = values if is_plain else await _rows_in_order(models, model, values, place)
    if isinstance(rows, Array):
        return rows
    large = packed(rows, LARGE)
    if large is not None:
        return large
    if is_plain or are_plain(rows):
        return rows
    if _are_in_a_column(rows) and (await models.model(model))["inputs"]["encoder"] in SINGLE:
        rows = [row[0] for row in rows]
    if any(map(names_image, rows)) and (await models.model(model))["inputs"]["encoder"] == "image":
        rows = [Path(row) if names_image(row) else row for row in rows]
    arrays = [as_numpy(row, f"{place}[{index}]") for index, row in enumerate(rows)]
    if any(map(_are_levels, arrays)) and not (all(map(_are_levels, arrays)) and _have_one_shape(arrays)):
        arrays = await _without_levels(models, model, arrays)
        rows = [row if each is None else each for row, each in zip(rows, arrays, strict=True)]
    if _have_one_shape(arrays):
        rows = to_wire(sys.modules["numpy"].stack(arrays), place)
        if isinstance(rows, Array):
            return rows
    if any(is_image(row) and may_be_other(row) for row in rows):
        _refuse_files(rows, await models.model(model), place)
    return [
        read_image(row, f"{place}[{index}]") if is_image(row) else plain(row, f"{place}[{index}]")
        for index, row in enumerate(rows)
    ]


def _refuse_files(rows: list[Any], model: Mapping[str, Any], place: str) -> None:
    """Raise UnsupportedInput for bytes and files where the model takes no images: nothing is read then."""
    expected = WITHOUT_IMAGES.get(model["inputs"]["encoder"])
    for index, row in enumerate(rows):
        if expected and is_image(row):
            raise UnsupportedInput(f"{place}[{index}]: expected {expected}, got {_instead_of(row, expected)}")


def _instead_of(row: Any, expected: str) -> str:
    """What came and the fix, for bytes, a file or an image where `expected` was."""
    if isinstance(row, PathLike):
        return "a path: send what is in the file"
    if isinstance(row, bytes | bytearray):
        return f"{type(row).__name__}: send {'its decode()' if expected == WITHOUT_IMAGES['text'] else expected}"
    name = "an open file: send what is in it" if hasattr(row, "read") else f"{type(row).__name__}: send {expected}"
    return "an image" if is_a(row, "PIL.Image", "Image") else name


async def _without_levels(models: Models, model: str, arrays: list[Any]) -> list[Any]:
    """Levels of gray as numbers like any others: they are sent as levels only in an array of uint8 that is alone."""
    scale = 255 if (await models.model(model))["inputs"]["encoder"] == "image" else 1
    return [each / scale if _are_levels(each) else each for each in arrays]


def _are_levels(array: Any) -> bool:
    """Whether a row is an array of uint8, which has levels of gray in an image."""
    return array is not None and array.dtype.name == "uint8" and array.ndim > 0


def _have_one_shape(arrays: list[Any]) -> bool:
    """Whether there are rows, and all are arrays of the same shape."""
    return bool(arrays) and all(each is not None and each.ndim and each.shape == arrays[0].shape for each in arrays)


async def _rows_in_order(models: Models, model: str, values: Any, place: str) -> Any:
    """As `rows_of`, with named values in the model's order. Raises UnsupportedInput for tables of other libraries."""
    values = without_multi_index(values)
    if is_table(values) and not rows_with_names(values):
        return rows_of(read_table(values, await models.model(model), place), place)
    if is_other_table(values) and column_names((await models.model(model))["inputs"]):
        refuse_other_table(values, "inputs", place)
    rows = value_rows(values, place)
    if isinstance(rows, Array) or not have_names(rows):
        return rows
    inputs = (await models.model(model))["inputs"]
    names = column_names(inputs)
    is_object = bool(names) and inputs.get("encoder") != NUMBERS
    return (as_objects if is_object else by_names)(rows, names, place)


def count_inputs(inputs: Any) -> int:
    """How many inputs there are in what `read_inputs` returns."""
    if isinstance(inputs, Array):
        return len(inputs.values)
    return inputs["shape"][0] if isinstance(inputs, dict) else len(inputs)


def read_values(values: Any, place: str) -> Any:
    """Targets, weights or classes as they are sent. Raises UnsupportedInput."""
    if are_plain(values):
        return values
    rows = value_rows(values, place)
    return rows if isinstance(rows, Array) else plain_rows(rows, place)


def plain_rows(rows: list[Any], place: str) -> list[Any]:
    """Rows as values of JSON and bytes. Raises UnsupportedInput."""
    if are_plain(rows):
        return rows
    return [plain(value, f"{place}[{index}]") for index, value in enumerate(rows)]


def value_rows(values: Any, place: str) -> Any:
    """As `rows_of`, with a value in each row: None where one is missing in pandas."""
    if is_a(values, "pandas", "Index"):
        values = values.to_series()
    return read_column(values) if is_a(values, "pandas", "Series") else rows_of(values, place)


def _check_model(name: Any) -> None:
    """Raise UnsupportedInput unless this can be the name of a model."""
    if not isinstance(name, str):
        raise UnsupportedInput(f"model: expected the name of a model, got {type(name).__name__}")
    as_text(name, "model")


def _are_in_a_column(rows: list[Any]) -> bool:
    """Whether all rows are lists of a single text or image, as in an array with one column."""
    return all(
        isinstance(row, list | tuple) and len(row) == 1 and (isinstance(row[0], str) or is_image(row[0]))
        for row in rows
    )


def are_plain(rows: Any) -> bool:
    """Whether this is a list of values, or of lists of values, that can be sent as they are. Most are."""
    if type(rows) is not list:
        return False
    kinds = set(map(type, rows))
    return PLAIN.issuperset(map(type, chain.from_iterable(rows)) if kinds == {list} else kinds)


def rows_of(values: Any, place: str) -> Any:
    """An array as an `Array` where it has numbers, and anything else as a list of rows. Raises UnsupportedInput."""
    array = as_numpy(values, place)
    if array is not None:
        return to_wire(array, place)
    if isinstance(values, type):
        raise UnsupportedInput(f"{place}: expected a list or an array, got a class")
    if isinstance(values, set | frozenset):
        actual = f"got a {type(values).__name__}, which has no order: make a list of it"
        raise UnsupportedInput(f"{place}: expected a list or an array, {actual}")
    if isinstance(values, memoryview):
        raise UnsupportedInput(f"{place}: expected a list or an array, got a memoryview: send numpy.asarray of it")
    single = (str, bytes, bytearray, Mapping, PathLike)
    is_single = isinstance(values, single) or hasattr(values, "read")
    if is_single or not hasattr(values, "__iter__"):
        of_columns = isinstance(values, Mapping) and all(isinstance(each, list | tuple) for each in values.values())
        fix = "send its columns as pandas.DataFrame(...)" if of_columns else "put a single value into a list"
        actual = f"got {type(values).__name__}: {fix}"
        raise UnsupportedInput(f"{place}: expected a list or an array, {actual}")
    return list(values)
