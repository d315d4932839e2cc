"""Numbers as one float32 array; missing, infinite and too large ones are refused."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from app.encoders.encoder import Rows
from app.encoders.error_places import missing, number_fix, place, show
from app.errors import Invalid, exact, name_text

FLOAT32_MAX = float(np.finfo(np.float32).max)
UNTHREADED = 10_000
"""Numbers from which BLAS takes threads for a product, and waits for them on a busy machine."""
NUMBERS = "biuf"
"""Kinds of NumPy's types that are numbers: bool, signed, unsigned, float."""
MAX_AXES = 4
"""Of rows and what they hold. NumPy makes arrays of more than 32 axes, but cannot go through their numbers."""


def read_floats(rows: Rows, shape: tuple[int, ...], names: Sequence[str] = ()) -> np.ndarray:
    """Rows as float32 [row, *shape]. Booleans count as 0 and 1.

    A row has the shape `shape`, or is all of its numbers in one row, or a bare number where there is only one. Rows are
    nested lists or arrays of any type of number.
    names: the names of the numbers in a row, for errors

    Raises Invalid for the first row that is not such numbers, finite in float32.
    """
    array = as_numbers(rows)
    if array is None or array.shape[1:] != shape:
        features = math.prod(shape)
        forms = (shape, (features,), ()) if features == 1 else (shape, (features,))
        if array is None or array.shape[1:] not in forms:
            array = _read_forms(rows, shape, forms, names)
    numbers = finite_float32(array, names)
    return numbers if numbers.shape[1:] == shape else numbers.reshape(-1, *shape)


def as_numbers(rows: Any) -> np.ndarray | None:
    """Nested lists or an array as an array of numbers; None where they are uneven, too deep or hold anything else."""
    try:
        array = np.asarray(rows)
    except (ValueError, OverflowError):
        return None
    return array if array.dtype.kind in NUMBERS and array.ndim <= MAX_AXES else None


def finite_float32(array: np.ndarray, names: Sequence[str] = ()) -> np.ndarray:
    """Numbers as float32, the nearest ones. Raises Invalid as `check_finite` does."""
    # the sum of squares bounds every number, in a third of the time of looking at each
    if array.dtype.char != "d" or array.size >= UNTHREADED or not np.vdot(array, array) <= FLOAT32_MAX**2:
        check_finite(array, names)
        return to_float32(array)
    return array.astype(np.float32)


def to_float32(array: np.ndarray) -> np.ndarray:
    """Numbers as float32, the nearest ones. Integers go by way of float64, as they do in JSON."""
    wide = array if array.dtype.kind == "f" else array.astype(np.float64)
    narrow: np.ndarray = wide.astype(np.float32)
    return narrow


def check_finite(array: np.ndarray, names: Sequence[str] = ()) -> None:
    """Raise Invalid at the first number of [row, ...] that is missing (NaN) or out of the range of float32."""
    wide = array if array.dtype.char in "fd" else array.astype(np.float64)
    if wide.min(initial=0) >= -FLOAT32_MAX and wide.max(initial=0) <= FLOAT32_MAX:
        return
    inside = np.abs(wide) <= FLOAT32_MAX
    row, *path = map(int, np.argwhere(~inside)[0])
    where, value = _place(row, path, names), float(wide[row, *path])
    if math.isnan(value):
        raise missing(where, "a number", f"column {name_text(names[path[0]])}" if names and path else "this bundle")
    raise Invalid(where, "a finite float32 number", exact(wide[row, *path]), "scale the data")


def _read_forms(
    rows: Rows, shape: tuple[int, ...], forms: Sequence[tuple[int, ...]], names: Sequence[str]
) -> np.ndarray:
    """Rows that have not all the same form, or are not all numbers."""
    if len(rows) == 0:
        return np.zeros((0, *shape), np.float32)
    return np.stack([_read_row(row, index, shape, forms, names).reshape(-1) for index, row in enumerate(rows)])


def _read_row(
    row: Any, index: int, shape: tuple[int, ...], forms: Sequence[tuple[int, ...]], names: Sequence[str]
) -> np.ndarray:
    """One row in a form of its own, float64. Only where not all rows have one form, or some are not numbers."""
    try:
        values = np.array(row, object)
    except ValueError:
        values = None
    if values is None or values.shape not in forms:
        raise Invalid(place(index), many(shape), _form(row, values), f"send {many(shape)} in each row")
    numbers = np.empty(values.shape)
    for path, value in np.ndenumerate(values):
        numbers[path] = _number(value, _place(index, path, names))
    return numbers


def _number(value: Any, where: str) -> float:
    if value is None:
        return math.nan
    if not isinstance(value, bool | int | float | np.bool_ | np.integer | np.floating):
        raise Invalid(where, "a number", show(value), number_fix(value))
    return to_float(value)


def to_float(value: Any) -> float:
    """A number as float64; infinite where it is beyond that range."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _place(row: int, path: Sequence[int], names: Sequence[str]) -> str:
    return place(row, names[path[0]]) if names and len(path) == 1 else place(row, *path)


def _form(row: Any, values: np.ndarray | None) -> str:
    """What a row is that has not the right form."""
    if not isinstance(row, list | tuple | np.ndarray):
        return show(row)
    if values is not None and values.ndim > MAX_AXES:
        return "arrays that are nested too deeply"
    if values is None or any(isinstance(value, list | tuple) for value in values.flat):
        return "rows of unequal length"
    return str(len(values)) if values.ndim == 1 else many(values.shape)


def many(shape: Sequence[int]) -> str:
    """How many numbers, in words: `1 number`, `2 numbers`, `28 x 28 numbers`."""
    return f"{' x '.join(map(str, shape))} number{'' if tuple(shape) == (1,) else 's'}"
