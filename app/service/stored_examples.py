"""Stages: examples that were posted together, as a record keeps them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from app.service.class_labels import Label


class Stage(NamedTuple):
    """Examples that were posted together, without those forgotten since.

    revision: the revision that they were added in
    numbers: int32 [row], the number of each row's example within the adaptation: ascending, and never reused. An
        example is a row; in decisions it is an episode. There are none if it only declares classes
    inputs: what was posted, in the canonical form of the encoder that read it (`Encoder.canonical`): numbers as float32
        [row, number]; anything else as an object array [row] of lists of values, strings, bytes or arrays
    targets: as in a `Task`
    weights: the weight of each row, float32 [row]; None where all are 1
    labels: the classes that were declared with these examples
    columns: the names of the values where rows are lists
    """

    revision: int
    numbers: np.ndarray
    inputs: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None = None
    labels: tuple[Label, ...] = ()
    columns: tuple[str, ...] = ()

    @property
    def rows(self) -> np.ndarray:
        """The inputs as any encoder takes them: as in `inputs`, but lists as objects with the names of the columns."""
        if not self.columns:
            return self.inputs
        return object_rows([dict(zip(self.columns, row, strict=True)) for row in self.inputs])

    @property
    def examples(self) -> np.ndarray:
        """The number of each example, once, int32 [example]."""
        first: np.ndarray = self.numbers[np.diff(self.numbers, prepend=-1) > 0]
        return first

    def only(self, kept: np.ndarray) -> "Stage":
        """The stage with the rows where `kept` is true, as copies: a view would keep the others in memory."""
        weights = None if self.weights is None or not kept.any() else self.weights[kept]
        return self._replace(
            numbers=self.numbers[kept], inputs=self.inputs[kept], targets=self.targets[kept], weights=weights
        )


def concatenate(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """The rows of all arrays. Mostly there is one stage, which needs no copy."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def object_rows(rows: Sequence[Any]) -> np.ndarray:
    """Rows of any type as an object array [row]."""
    return np.fromiter(rows, object, len(rows))


def concatenate_rows(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The rows of all parts, which are as in `Stage`."""
    parts = [part for part in parts if len(part)] or parts[:1]
    if len(parts) > 1 and len({part.dtype == object for part in parts}) > 1:
        parts = [part if part.dtype == object else object_rows([*part]) for part in parts]
    return concatenate(parts)
