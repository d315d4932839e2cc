"""What a user has, as the server takes it: examples, targets and queries."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from innerloop_client.arrays import as_numpy, is_a, packed, to_wire
from innerloop_client.body_encoding import LARGE
from innerloop_client.errors import UnsupportedInput
from innerloop_client.images import is_image, names_image, read_image
from innerloop_client.session import Session
from innerloop_client.tables import is_table, read_column, read_table

PLAIN = frozenset({float, int, bool, str, type(None)})
"""The types of JSON's values."""


async def read_inputs(session: Session, model: str, values: Any, place: str) -> Any:
    """Inputs of a model as they are sent. Raises UnsupportedInput.

    The server is asked about the model where that matters: for DataFrames, and for texts that may name image files.
    """
    if is_table(values):
        values = read_table(values, await session.model(model), place)
        if not isinstance(values, list):
            return values
    array = as_numpy(values)
    if array is not None:
        return to_wire(array, place)
    rows = _rows(values, place)
    large = packed(rows, LARGE)
    if large is not None:
        return large
    if all(map(_is_plain, rows)):
        return rows
    if any(map(names_image, rows)) and (await session.model(model))["inputs"]["encoder"] == "image":
        rows = [Path(row) if names_image(row) else row for row in rows]
    arrays = [as_numpy(row) for row in rows]
    if arrays and all(each is not None and each.shape == arrays[0].shape and each.ndim for each in arrays):
        return to_wire(sys.modules["numpy"].stack(arrays), place)
    return [
        read_image(row, f"{place}[{index}]") if is_image(row) else _plain(row, f"{place}[{index}]")
        for index, row in enumerate(rows)
    ]


def read_values(values: Any, place: str) -> Any:
    """Targets, weights, classes or actions as they are sent. Raises UnsupportedInput."""
    if is_a(values, "pandas", "Series") or is_a(values, "pandas", "Index"):
        return read_column(values.to_series() if is_a(values, "pandas", "Index") else values)
    array = as_numpy(values)
    if array is not None:
        return to_wire(array, place)
    rows = _rows(values, place)
    if PLAIN.issuperset(map(type, rows)):
        return rows
    return [_plain(value, f"{place}[{index}]") for index, value in enumerate(rows)]


async def read_support(
    session: Session,
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
        support["inputs"] = await read_inputs(session, model, x, "x")
    for name, values, place in (("targets", y, "y"), ("weights", weights, "weights"), ("labels", labels, "labels")):
        if values is not None:
            support[name] = read_values(values, place)
    if episodes is not None:
        support["episodes"] = [
            await _episode(session, model, episode, f"episodes[{index}]") for index, episode in enumerate(episodes)
        ]
    return support


def _split(x: Any, y: str) -> tuple[Any, Any]:
    """A DataFrame without a column, and that column. Raises UnsupportedInput."""
    if not is_a(x, "pandas", "DataFrame"):
        raise UnsupportedInput(f"y: the name of a column needs a DataFrame as x, got {type(x).__name__}")
    if y not in x.columns:
        columns = ", ".join(map(str, x.columns))
        raise UnsupportedInput(f"y: expected a column of x ({columns}), got {y!r}")
    return x.drop(columns=y), x[y]


async def _episode(session: Session, model: str, episode: Mapping[str, Any], place: str) -> dict[str, Any]:
    return {
        name: await read_inputs(session, model, values, f"{place}.{name}")
        if name == "observations"
        else read_values(values, f"{place}.{name}")
        for name, values in episode.items()
    }


def _is_plain(row: Any) -> bool:
    """Whether a row is a list that can be sent as it is. Most are, so this is asked first."""
    return type(row) is list and PLAIN.issuperset(map(type, row))


def _rows(values: Any, place: str) -> list[Any]:
    if isinstance(values, str | bytes | Mapping | Path) or not hasattr(values, "__iter__"):
        raise UnsupportedInput(
            f"{place}: expected a list or an array, got {type(values).__name__}: put a single value into a list"
        )
    return list(values)


def _plain(value: Any, place: str) -> Any:
    """A row, a target or a part of one, without arrays and scalars of numpy in it."""
    if value is None or isinstance(value, str | bool | int | float | bytes):
        return value
    if isinstance(value, Mapping):
        return {name: _plain(each, f"{place}.{name}") for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, place) for each in value]
    array = as_numpy(value)
    if array is None:
        raise UnsupportedInput(f"{place}: cannot send a value of type {type(value).__name__}")
    return array.tolist() if array.ndim == 0 else to_wire(array, place)
