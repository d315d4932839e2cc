"""The labels of classes, told apart by type, and the index of the class that each label names."""

from collections.abc import Sequence

import numpy as np

Label = str | int | bool
"""The name of a class. `1`, `true` and `"1"` are three labels, though `1 == True` in Python."""


def distinct_labels(targets: np.ndarray) -> tuple[Label, ...]:
    """The labels among targets in the order of their first example; none where targets are numbers."""
    return distinct(targets.tolist()) if targets.dtype.kind == "O" else ()


def distinct(labels: Sequence[Label]) -> tuple[Label, ...]:
    """Each label once, where it is first."""
    return tuple(dict(zip(zip(map(type, labels), labels, strict=True), labels, strict=True)).values())


def class_indices(labels: Sequence[Label], classes: Sequence[Label]) -> list[int]:
    """The index of each label in `classes`."""
    index_of = {(type(label), label): index for index, label in enumerate(classes)}
    return [index_of[type(label), label] for label in labels]
