"""Values of bodies as arrays, for a bundle: inputs, numbers and labels."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from app.api import schemas
from app.bundles.bundle import Bundle
from app.encoders.encoder import Encoder, Rows
from app.encoders.error_places import number_fix, show
from app.encoders.finite_numbers import FLOAT32_MAX, as_numbers, finite_float32, many, to_float
from app.errors import Invalid, exact
from app.service.class_labels import Label
from app.service.stored_examples import object_rows

INT64 = np.iinfo(np.int64)
MAX_LABEL = 200
"""Characters of a label."""
MIN_TOTAL = 1e-30
"""Of the weights of examples: losses are divided by it, in float32."""
LABEL = "a label: a string, a whole number or true or false"
"""What a target of classification is."""
Values = Sequence[Any] | schemas.RawArray
"""Inputs or targets as they are posted."""


def read_queries(values: Values, encoder: Encoder, place: str) -> np.ndarray:
    """Inputs as float32 [row, feature], or as an object array [row] of what the worker encodes later.

    Raises Invalid at the first that the encoder does not take.
    """
    rows = _from_raw(values, place) if isinstance(values, schemas.RawArray) else values
    try:
        if encoder.encodes_later:
            return as_kept(encoder.canonical(rows))
        return encoder.encode(rows)
    except Invalid as error:
        raise Invalid(f"{place}{error.place}", *error.reason) from error


def read_inputs(values: Values, encoder: Encoder, place: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Inputs as a record keeps them (`app.service.stored_examples.Stage`), and their features, as in a `SupportSet`.

    There are no features where the inputs are features, or the worker encodes them later.

    Raises Invalid at the first that the encoder does not take.
    """
    rows = _from_raw(values, place) if isinstance(values, schemas.RawArray) else values
    try:
        kept = encoder.canonical(rows)
        is_known = encoder.keeps_features if isinstance(kept, np.ndarray) else encoder.encodes_later
        return as_kept(kept), None if is_known else encoder.encode(kept)
    except Invalid as error:
        raise Invalid(f"{place}{error.place}", *error.reason) from error


def have_names(values: Values) -> bool:
    """Whether any row is an object, with its values by the names of their columns."""
    return isinstance(values, list) and dict in set(map(type, values))


def as_kept(rows: Rows) -> np.ndarray:
    """Canonical rows as a `Stage` has them: float32 [row, number], or an object array [row]."""
    if isinstance(rows, np.ndarray):
        return rows if rows.ndim == 2 else rows.reshape(len(rows), -1)
    return object_rows(rows)


def columns_of(inputs: np.ndarray, bundle: Bundle) -> tuple[str, ...]:
    """The names of the values where a record keeps lists; empty for any other inputs."""
    return bundle.columns if inputs.dtype.kind == "O" and isinstance(inputs[0], list) else ()


def show_rows(rows: np.ndarray) -> np.ndarray | list[Any]:
    """Rows of a record as they are posted: an array of numbers, or a list of objects, files and nested lists."""
    if rows.dtype != object:
        return rows
    return [row.tolist() if isinstance(row, np.ndarray) else row for row in rows]


def read_numbers(values: Values, width: int, place: str) -> np.ndarray:
    """Targets of regression as float32 [example, width]. Raises Invalid at the first that is not `width` numbers."""
    rows: Any = _from_raw(values, place) if isinstance(values, schemas.RawArray) else values
    types = set(map(type, rows)) if isinstance(rows, list) else set()
    uneven = len(types) > 1 and list in types
    array = None if bool in types else as_numbers([_row(each) for each in rows] if uneven else rows)
    if array is None or array.dtype.kind == "b" or array.shape[1:] not in ((width,), () if width == 1 else (width,)):
        for index, each in enumerate(rows):
            if (mistake := _not_numbers(each, width, f"{place}[{index}]")) is not None:
                raise mistake
        # whole numbers of more than 64 bits are left, which NumPy has no type for
        array = np.array([[to_float(value) for value in _row(each)] for each in rows])
    try:
        return finite_float32(array).reshape(-1, width)
    except Invalid as error:
        raise Invalid(f"{place}{error.place}", *error.reason) from error


def _row(target: Any) -> list[Any]:
    return target if isinstance(target, list) else [target]


def _not_numbers(target: Any, width: int, place: str) -> Invalid | None:
    """What is wrong with a target of regression, if anything."""
    row, nested = _row(target), isinstance(target, list)
    for index, value in enumerate(row):
        if isinstance(value, bool | None) or not isinstance(value, int | float):
            where = f"{place}[{index}]" if nested else place
            expected = "a number" if nested or width == 1 else many((width,))
            return Invalid(where, expected, show(value), number_fix(value, expected) if isinstance(value, str) else "")
    return Invalid(place, many((width,)), len(row)) if len(row) != width else None


def read_labels(values: Values, place: str) -> np.ndarray:
    """Targets of classification, [example] of objects. Raises Invalid at the first that is no label."""
    labels = _raw_labels(values, place) if isinstance(values, schemas.RawArray) else values
    for index, each in enumerate(labels):
        if (mistake := _not_a_label(each, f"{place}[{index}]")) is not None:
            raise mistake
    return np.array(labels, object)


def read_classes(values: Values, place: str) -> tuple[Label, ...]:
    """The classes that a support set declares. Raises Invalid at the first that is no label, or comes again."""
    labels = read_labels(values, place).tolist()
    first: dict[tuple[type, Label], int] = {}
    for index, label in enumerate(labels):
        if (earlier := first.setdefault((type(label), label), index)) != index:
            raise Invalid(f"{place}[{index}]", "each label once", f"{show(label)} as in {place}[{earlier}]")
    return tuple(labels)


def read_weights(values: Values, place: str) -> np.ndarray:
    """Weights of examples as float32 [example]. Raises Invalid at the first below 0, or where none is above 0."""
    weights = read_numbers(values, 1, place)[:, 0]
    if (negative := weights < 0).any():
        index = int(negative.argmax())
        raise Invalid(f"{place}[{index}]", "a number of at least 0", exact(weights[index]))
    if not weights.any():
        raise Invalid(place, "at least 1 weight above 0", "none", "0 leaves an example out")
    if (total := weights.sum(dtype=np.float64)) > FLOAT32_MAX:
        raise Invalid(place, "weights whose sum is a finite float32 number", "larger ones", "scale the weights")
    if total < MIN_TOTAL:
        about = f"{total:.1g}"
        actual = about if float(about) < MIN_TOTAL else exact(total)
        raise Invalid(place, f"weights whose sum is at least {MIN_TOTAL:g}", actual, "scale the weights")
    return weights


def _raw_labels(raw: schemas.RawArray, place: str) -> Sequence[Any]:
    values = _from_raw(raw, place)
    if values.dtype.kind == "f" or values.size != len(values):
        actual = f"an array of {raw.dtype} of the shape {raw.shape}"
        raise Invalid(
            place, "a label for each example: whole numbers, or true and false", actual, "send strings as a list"
        )
    labels: list[Any] = values.reshape(-1).tolist()
    return labels


def _not_a_label(value: Any, place: str) -> Invalid | None:
    """What is wrong with a label, if anything."""
    match value:
        case str() if len(value) > MAX_LABEL:
            fix = "answers repeat labels, so send shorter ones"
            return Invalid(place, f"a label of at most {MAX_LABEL} characters", len(value), fix)
        case str() | bool():
            return None
        case int() if INT64.min <= value <= INT64.max:
            return None
        case int():
            return Invalid(
                place, f"a whole number from {INT64.min} to {INT64.max}", "another one", "send it as a string"
            )
        case float():
            whole = value.is_integer() and abs(value) < 2**53
            fix = f"write it as a whole number: {value:.0f}" if whole else "send it as a string"
            return Invalid(place, LABEL, str(value), fix)
    return Invalid(place, LABEL, show(value))


def _from_raw(raw: schemas.RawArray, place: str) -> np.ndarray:
    """A raw array in its own shape and type."""
    dtype = np.dtype(raw.dtype).newbyteorder("<")
    if raw.shape[0] == 0:
        raise Invalid(place, "at least 1 row", f"the shape {raw.shape}")
    if len(raw.data) != (size := math.prod(raw.shape) * dtype.itemsize):
        raise Invalid(f"{place}.data", f"{size} bytes for {raw.shape} of {raw.dtype}", len(raw.data))
    return np.frombuffer(raw.data, dtype).reshape(raw.shape)
