"""Values of bodies as arrays, for the schema of a bundle: inputs, numbers and labels."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from app.api import images, schemas
from app.api.decode_errors import QUOTED, UNQUOTED
from app.bundles import Schema
from app.errors import Invalid

MAX_LABEL = 200
"""Characters of a label."""
FLOAT32_MAX = float(np.finfo(np.float32).max)


def read_inputs(values: schemas.Inputs | schemas.RawArray, schema: Schema, place: str) -> np.ndarray:
    """Inputs as float32 [row, feature]. Raises Invalid at the first that the model does not take."""
    if isinstance(values, schemas.RawArray):
        return _finite(_from_raw(values, schema.features, schema.shape, place), place).reshape(-1, schema.features)
    exact = _array(values)  # all rows usually have the same form
    if exact is not None and exact.ndim > 1 and exact.shape[1:] in ((schema.features,), schema.shape):
        return _finite(exact, place).reshape(len(exact), -1)
    if schema.image:
        _check_pixels(values, place)
    rows = [_input(each, schema, f"{place}[{index}]") for index, each in enumerate(values)]
    return _finite(np.stack(rows), place)


def read_numbers(values: Sequence[float | list[float] | str] | schemas.RawArray, width: int, place: str) -> np.ndarray:
    """Targets of regression as float32 [example, width]. Raises Invalid at the first that is not `width` numbers."""
    if isinstance(values, schemas.RawArray):
        return _finite(_from_raw(values, width, (), place), place).reshape(-1, width)
    types = set(map(type, values))
    # `_array` alone would read a number out of a string
    uneven = len(types) > 1 and list in types
    exact = None if str in types else _array([_row(each) for each in values] if uneven else values)
    if exact is None or (exact.shape[1] if exact.ndim > 1 else 1) != width:
        raise next(filter(None, (_mistake(each, width, f"{place}[{index}]") for index, each in enumerate(values))))
    flat = exact[:, 0] if uneven and width == 1 else exact
    return _finite(flat, place).reshape(-1, width)


def _row(target: float | list[float] | str) -> list[Any]:
    return target if isinstance(target, list) else [target]


def _mistake(target: float | list[float] | str, width: int, place: str) -> Invalid | None:
    """What is wrong with a target of regression, if anything."""
    if isinstance(target, str):
        return Invalid(place, many(width) if width > 1 else "a number", "a string", UNQUOTED)
    if len(_row(target)) != width:
        return Invalid(place, many(width), len(_row(target)))
    return None


def read_labels(values: Sequence[float | list[float] | str] | schemas.RawArray, place: str) -> np.ndarray:
    """Targets of classification as strings, [example] of objects. Raises Invalid at the first that is no string."""
    if isinstance(values, schemas.RawArray):
        raise Invalid(place, "labels", "numbers", "send a list of strings, one for each example")
    for index, each in enumerate(values):
        if not isinstance(each, str):
            actual = "an array" if isinstance(each, list) else "a number"
            raise Invalid(f"{place}[{index}]", "a label", actual, QUOTED)
        if len(each) > MAX_LABEL:
            fix = "answers repeat labels, so send shorter ones"
            raise Invalid(f"{place}[{index}]", f"a label of at most {MAX_LABEL} characters", len(each), fix)
    return np.array(values, object)


def _array(rows: Sequence[Any]) -> np.ndarray | None:
    """Nested lists as float64, or None where they are uneven or hold something else than numbers."""
    try:
        return np.array(rows, np.float64)
    except ValueError:
        return None


def _check_pixels(rows: Sequence[Any], place: str) -> None:
    """Raises Invalid where the images among the rows are too many, or too large together."""
    if (files := sum(isinstance(each, bytes) for each in rows)) > images.MAX_FILES:
        fix = "send fewer at a time, or their pixels as a raw array in msgpack"
        raise Invalid(place, f"at most {images.MAX_FILES} PNGs", files, fix)
    pixels = 0
    for index, each in enumerate(rows):
        if isinstance(each, bytes):
            pixels += math.prod(images.size(each, f"{place}[{index}]"))
    if pixels > images.MAX_PIXELS:
        raise Invalid(place, f"at most {images.MAX_PIXELS} pixels in all images", pixels, "scale the images down")


def _input(row: list[Any] | bytes, schema: Schema, place: str) -> np.ndarray:
    """One input, float [feature]."""
    if isinstance(row, bytes):
        if not schema.image:
            raise Invalid(place, expected_row(schema), "a string or bytes", "this model takes no images")
        return images.IMAGES[schema.image](row, (schema.shape[0], schema.shape[1]), place)
    exact = _array(row)
    if exact is not None and exact.shape in ((schema.features,), schema.shape):
        return exact.reshape(-1)
    if not schema.shape:
        nested = next((index for index, each in enumerate(row) if isinstance(each, list)), None)
        if nested is not None:
            raise Invalid(f"{place}[{nested}]", "a number", "an array")
        raise Invalid(place, many(schema.features), len(row))
    actual = "rows of unequal length" if exact is None else " x ".join(map(str, exact.shape))
    raise Invalid(place, expected_row(schema), actual)


def expected_row(schema: Schema) -> str:
    """What an input of a model is."""
    if not schema.shape:
        return many(schema.features)
    shape = " x ".join(map(str, schema.shape))
    forms = [f"{shape} numbers", f"{many(schema.features)} in one row", *(["a PNG"] if schema.image else [])]
    return f"{', '.join(forms[:-1])} or {forms[-1]}"


def _finite(exact: np.ndarray, place: str) -> np.ndarray:
    """Numbers as float32. Raises Invalid at the first that is out of its range."""
    # the sum of squares bounds every number, in a fifth of the time of looking at each; NaN is not below anything
    if not float(np.vdot(exact, exact)) <= FLOAT32_MAX**2 and not (inside := np.abs(exact) <= FLOAT32_MAX).all():
        index = tuple(np.argwhere(~inside)[0])
        fix = "leave the row out" if math.isnan(exact[index]) else "scale the data"
        where = place + "".join(f"[{each}]" for each in index)
        raise Invalid(where, "a finite float32 number", f"{exact[index]:g}", fix)
    return exact.astype(np.float32)


def _from_raw(raw: schemas.RawArray, width: int, shape: tuple[int, ...], place: str) -> np.ndarray:
    """A raw array in its own shape. Its rows are of `width` numbers, of the shape `shape`, or bare numbers for 1."""
    dtype = np.dtype(raw.dtype).newbyteorder("<")
    forms = [(width,), *([shape] if shape else []), *([()] if width == 1 else [])]
    if raw.shape[0] == 0:
        raise Invalid(place, "at least 1 row", f"the shape {raw.shape}")
    if tuple(raw.shape[1:]) not in forms:
        raise Invalid(place, f"rows of {many(width)}", f"the shape {raw.shape}")
    if len(raw.data) != (size := math.prod(raw.shape) * dtype.itemsize):
        raise Invalid(f"{place}.data", f"{size} bytes for {raw.shape} of {raw.dtype}", len(raw.data))
    rows = np.frombuffer(raw.data, dtype).reshape(raw.shape)
    return rows if rows.dtype.kind == "f" else rows.astype(np.float64)


def many(count: int) -> str:
    """How many numbers, in words."""
    return f"{count} number{'' if count == 1 else 's'}"
