"""Labels of a classifier, as scikit-learn, numpy and the server have them."""

import sys
from collections.abc import Iterable, Set
from typing import Any

import numpy as np
from sklearn.utils.validation import column_or_1d

from innerloop_client.arrays import as_numpy, is_a, is_missing
from innerloop_client.errors import UnsupportedInput, shown
from innerloop_client.sklearn.silent_conversions import refuse_records, unmasked

NAMES = {str: "texts", int: "whole numbers", bool: "booleans"}
"""The types of labels."""
TYPES = {"booleans": (bool, np.bool_), "texts": (str,), "numbers": (int, float, np.integer, np.floating)}
"""The types that they may have in Python and numpy. A boolean is an int too, so booleans come first."""


def of_numpy(y: Any, place: str = "y") -> Any:
    """Labels in a form that numpy and scikit-learn do not change: they do, to some of pandas and to some texts.

    place: the argument that has them

    Raises UnsupportedInput for labels of several types and of other types, ValueError for missing ones.
    """
    refuse_records(y, place)
    y = unmasked(y, place)
    if is_a(y, "pandas", "DataFrame") and len(y.columns) == 1:
        y = y.iloc[:, 0]
    if hasattr(getattr(y, "dtype", None), "categories"):
        _refuse_missing(y.isna(), place)
        y = sys.modules["pandas"].Series(y).astype(y.dtype.categories.dtype)
    known = getattr(getattr(y, "dtype", None), "numpy_dtype", None)
    if known is not None and known.kind in "biu" and not y.isna().any():
        return np.asarray(y, known)
    is_object = getattr(getattr(y, "dtype", None), "kind", "") == "O" and (np.ndim(y) == 1 or np.shape(y)[1:] == (1,))
    return _of_list(list(y), y, place) if isinstance(y, list | tuple) or is_object else y


def _of_list(labels: list[Any], y: Any, place: str) -> Any:
    """Labels of a list in a form that numpy does not change. y: the list. Raises UnsupportedInput and ValueError."""
    labels = [_single(label, place) for label in labels]
    _refuse_missing(map(_is_missing, labels), place)
    if any(isinstance(label, list | tuple) or _is_array(label) for label in labels):
        return y  # scikit-learn refuses several columns
    types = {_type_of(label, place) for label in labels}
    if len(types) > 1:
        raise UnsupportedInput(f"{place}: expected labels of one type, got {' and '.join(sorted(types))}")
    if types == {"texts"}:
        return np.array([str.__str__(label) for label in labels], object) if any(map(_changes, labels)) else y
    numbers = np.asarray(labels)
    if labels and all(isinstance(label, int | np.integer) for label in labels) and numbers.dtype.kind in "fO":
        return _whole_numbers(labels, place)
    if numbers.dtype.kind in "fO" and any(map(_is_rounded, labels)):
        expected = "labels that a float can hold"
        raise UnsupportedInput(f"{place}: expected {expected}, got a whole number beside floats: use texts")
    return y if isinstance(y, list | tuple) else numbers


def _whole_numbers(labels: Iterable[Any], place: str = "y") -> Any:
    """Whole numbers as an array, where numpy makes floats of signed ones beside unsigned ones.

    Raises UnsupportedInput for those that 64 bits cannot hold.
    """
    numbers = list(map(int, labels))
    for dtype in ("int64", "uint64"):
        limits = np.iinfo(dtype)
        if all(limits.min <= number <= limits.max for number in numbers):
            return np.array(numbers, dtype)
    raise UnsupportedInput(f"{place}: expected labels that 64 bits can hold, got a larger whole number: use texts")


def _is_rounded(label: Any) -> bool:
    """Whether a label is a whole number that a float cannot be."""
    if not isinstance(label, int | np.integer):
        return False
    try:
        return int(float(label)) != int(label)
    except OverflowError:  # it is larger than any float
        return True


def _single(label: Any, place: str) -> Any:
    """A label without the list or the array around it."""
    if isinstance(label, list | tuple):
        return label[0] if len(label) == 1 else label
    array = as_numpy(label, place) if _is_array(label) else None
    return label if array is None or array.size != 1 else array.item()


def _is_array(label: Any) -> bool:
    return hasattr(label, "__array__") and not isinstance(label, np.generic)


def _refuse_missing(missing: Iterable[bool], place: str) -> None:
    """Raise the error of scikit-learn if labels are missing: numpy makes texts of them, or fails in another way."""
    if any(missing):
        raise ValueError(f"Input {place} contains NaN.")


def _is_missing(label: Any) -> bool:
    return is_missing(label) or (isinstance(label, float | np.floating) and bool(label != label))


def _type_of(label: Any, place: str) -> str:
    """The name of the type of a label. Raises UnsupportedInput for types that labels cannot have."""
    name = next((name for name, kinds in TYPES.items() if isinstance(label, kinds)), None)
    if name is None:
        kind = type(label).__name__
        raise UnsupportedInput(f"{place}: expected texts, numbers or booleans as labels, got {kind}: use texts")
    return name


def _changes(label: str) -> bool:
    """Whether numpy changes a text in an array of texts: it removes a zero at the end, and the type."""
    return type(label) is not str or label.endswith("\0")


def column(y: Any, *, warn: bool = False, place: str = "y") -> Any:
    """Labels as an array. Those of a set come in any order. Raises UnsupportedInput and ValueError."""
    y = list(y) if isinstance(y, Set) else y
    labels = column_or_1d(of_numpy(y, place), warn=warn)
    _refuse_missing(np.isnan(labels) if labels.dtype.kind == "f" else (), place)
    return labels


def check_types(labels: list[Any], classes: list[Any]) -> None:
    """Raise UnsupportedInput if labels have types that no class has: texts beside numbers, or 1 beside True."""
    types = set(map(type, classes))
    if wrong := [label for label in labels if type(label) not in types]:
        known = " or ".join(sorted(NAMES[each] for each in types))
        raise UnsupportedInput(f"y: expected {known} as labels, like the classes, got {shown(wrong[0])}")


def with_labels(classes: Any, y: Any, labels: list[Any]) -> Any:
    """The classes and those of more labels. Whole numbers stay so: 1 and 1.0 are the same label."""
    if classes.dtype.kind in "iu":
        return np.unique(_whole_numbers([*as_labels(classes), *labels]))
    return np.union1d(classes, y)


def as_labels(values: Any) -> list[Any]:
    """Labels as the server takes them: whole numbers may not be floats."""
    return [int(label) if isinstance(label, float) else label for label in np.asarray(values).tolist()]
