"""Labels of a classifier, as scikit-learn, numpy and the server have them."""

from typing import Any

import numpy as np
from sklearn.utils.validation import column_or_1d

from innerloop_client.arrays import is_a
from innerloop_client.errors import UnsupportedInput, shown

NAMES = {str: "texts", int: "whole numbers", bool: "booleans"}
"""The types of labels."""


def of_numpy(y: Any) -> Any:
    """Labels in a form that numpy and scikit-learn do not change: they do, to some of pandas and to some texts.

    Missing values are left to scikit-learn, which refuses them.
    """
    if is_a(y, "pandas", "DataFrame") and len(y.columns) == 1:
        y = y.iloc[:, 0]
    if is_a(y, "pandas", "Series") and hasattr(y, "cat"):
        y = y.astype(y.cat.categories.dtype)
    known = getattr(getattr(y, "dtype", None), "numpy_dtype", None)
    if known is not None and known.kind in "biu" and not y.isna().any():
        return np.asarray(y, known)
    is_object = getattr(getattr(y, "dtype", None), "kind", "") == "O" and np.ndim(y) == 1
    if isinstance(y, list | tuple) or is_object:
        labels = list(y)
        if labels and all(isinstance(label, str) for label in labels) and any(map(_changes, labels)):
            return np.array([str.__str__(label) for label in labels], object)
    return y


def _changes(label: str) -> bool:
    """Whether numpy changes a text in an array of texts: it removes a zero at the end, and the type."""
    return type(label) is not str or label.endswith("\0")


def column(y: Any, *, warn: bool = False) -> Any:
    """Labels as an array."""
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
