"""Reading the state of an encoder, which may come from a stranger: every field is there and has its type."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from app.encoders.encoder import ArraysError, StateError

MAX_FEATURES = 2**24
"""Numbers in a row."""

_NAMES = {bool: "true or false", int: "a whole number", str: "a string", list: "a list", dict: "an object"}


def check_fields(json: Any, kinds: Mapping[str, type], place: str = "state") -> None:
    """Raise StateError unless `json` is an object with exactly these fields, of these types."""
    if not isinstance(json, Mapping):
        raise StateError(f"{place}: expected an object, got {json!r:.60}")
    missing, unknown = sorted(kinds.keys() - json.keys()), sorted(map(str, json.keys() - kinds.keys()))
    if missing or unknown:
        problems = (f"{sort} {', '.join(keys)}" for sort, keys in (("missing", missing), ("unknown", unknown)) if keys)
        raise StateError(f"{place}: {'; '.join(problems)}")
    for name, kind in kinds.items():
        if type(json[name]) is not kind:
            raise StateError(f"{place}.{name}: expected {_NAMES[kind]}, got {json[name]!r:.60}")


def check_items(json: Mapping[str, Any], name: str, kind: type, place: str = "state") -> None:
    """Raise StateError unless all items of the list `name` have this type."""
    for index, item in enumerate(json[name]):
        if type(item) is not kind:
            raise StateError(f"{place}.{name}[{index}]: expected {_NAMES[kind]}, got {item!r:.60}")


def check_shape(json: Mapping[str, Any]) -> tuple[int, ...]:
    """The list `shape` as a shape. Raises StateError unless it has 1 to 4 axes, and 1 to MAX_FEATURES numbers."""
    check_items(json, "shape", int)
    if not 1 <= len(json["shape"]) <= 4 or min(json["shape"]) < 1 or math.prod(json["shape"]) > MAX_FEATURES:
        expected = f"1 to 4 lengths of at least 1, and at most {MAX_FEATURES} numbers"
        raise StateError(f"state.shape: expected {expected}, got {json['shape']!r:.60}")
    return tuple(json["shape"])


def check_arrays(arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ArraysError unless these arrays are there and no other, float64 in these shapes, with finite numbers."""
    if arrays.keys() != shapes.keys():
        raise ArraysError(f"arrays: expected {sorted(shapes) or 'none'}, got {sorted(arrays) or 'none'}")
    for name, shape in shapes.items():
        array = arrays[name]
        if array.dtype != np.float64 or array.shape != shape:
            raise ArraysError(f"{name}: expected float64 {list(shape)}, got {array.dtype} {list(array.shape)}")
        if not np.isfinite(array).all():
            raise ArraysError(f"{name}: expected finite numbers, got NaN or infinity")
