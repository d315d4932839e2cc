"""Labels of a classifier, as scikit-learn, numpy and the server have them."""

import sys
from collections.abc import Set
from typing import Any

import numpy as np
from sklearn.utils.validation import column_or_1d

from innerloop_client.arrays import is_a
from innerloop_client.errors import UnsupportedInput, shown

NAMES = {str: "texts", int: "whole numbers", bool: "booleans"}
"""The types of labels."""
TYPES = {"booleans": (bool, np.bool_), "texts": (str,), "numbers": (int, float, np.integer, np.floating)}
"""The types that they may have in Python and numpy. A boolean is an int too, so booleans come first."""


def of_numpy(y: Any) -> Any:
    """Labels in a form that numpy and scikit-learn do not change: they do, to some of pandas and to some texts.

    Missing values are left to scikit-learn, which refuses them.
    """
    if is_a(y, "pandas", "DataFrame") and len(y.columns) == 1:
        y = y.iloc[:, 0]
    if hasattr(getattr(y, "dtype", None), "categories"):
        y = sys.modules["pandas"].Series(y).astype(y.dtype.categories.dtype)
    known = getattr(getattr(y, "dtype", None), "numpy_dtype", None)
    if known is not None and known.kind in "biu" and not y.isna().any():
        return np.asarray(y, known)
    is_object = getattr(getattr(y, "dtype", None), "kind", "") == "O" and np.ndim(y) == 1
    return _of_list(list(y), y) if isinstance(y, list | tuple) or is_object else y


def _of_list(labels: list[Any], y: Any) -> Any:
    """Labels of a list in a form that numpy does not change. y: the list. Raises UnsupportedInput for several types."""
    labels = [each[0] if isinstance(each, list | tuple) and len(each) == 1 else each for each in labels]
    types = set(filter(None, map(_type_of, labels)))
    if len(types) > 1:
        raise UnsupportedInput(f"y: expected labels of one type, got {' and '.join(sorted(types))}")
    if all(isinstance(label, str) for label in labels) and any(map(_changes, labels)):
        return np.array([str.__str__(label) for label in labels], object)
    return y


def _type_of(label: Any) -> str | None:
    """The name of the type of a label; None for what is none, and for NaN."""
    if isinstance(label, float) and label != label:
        return None
    return next((name for name, kinds in TYPES.items() if isinstance(label, kinds)), None)


def _changes(label: str) -> bool:
    """Whether numpy changes a text in an array of texts: it removes a zero at the end, and the type."""
    return isinstance(label, str) and (type(label) is not str or label.endswith("\0"))


def column(y: Any, *, warn: bool = False) -> Any:
    """Labels as an array. Those of a set come in any order."""
    y = list(y) if isinstance(y, Set) else y
    return column_or_1d(of_numpy(y), warn=warn)


def check_types(labels: list[Any], classes: list[Any]) -> None:
    """Raise UnsupportedInput if labels have types that no class has: texts beside numbers, or 1 beside True."""
    types = set(map(type, classes))
    if wrong := [label for label in labels if type(label) not in types]:
        known = " or ".join(sorted(NAMES[each] for each in types))
        raise UnsupportedInput(f"y: expected {known} as labels, like the classes, got {shown(wrong[0])}")


def with_labels(classes: Any, y: Any, labels: list[Any]) -> Any:
    """The classes and those of more labels. Whole numbers stay so: 1 and 1.0 are the same label."""
    if classes.dtype.kind in "iu":
        return np.unique(np.asarray([*as_labels(classes), *labels]))
    return np.union1d(classes, y)


def as_labels(values: Any) -> list[Any]:
    """Labels as the server takes them: whole numbers may not be floats."""
    return [int(label) if isinstance(label, float) else label for label in np.asarray(values).tolist()]
