"""Support sets, as they were posted."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from app.errors import Invalid
from app.service.class_labels import Label, distinct_labels
from app.service.stored_examples import Stage
from app.service.task import Task


class SupportSet(NamedTuple):
    """A support set as it was posted; targets are as in a `Task`.

    inputs, columns: as in a `Stage`
    episodes: for decisions, the episode of each row, int32 [row], ascending from 0
    features: of the inputs, float32 [row, feature]; None where the inputs are the features
    weights: the weight of each example, float32 [row], one above 0 at least; None where all are 1
    labels: the classes that it declares
    kept_by: whose inputs they are, where the worker encodes them later; None where features are known
    locate: an error about `inputs` or `targets` -> the same at its place in the body
    named_inputs, named_targets: whether the values of inputs and of targets were posted by the names of their columns
    """

    inputs: np.ndarray
    targets: np.ndarray
    episodes: np.ndarray | None = None
    features: np.ndarray | None = None
    columns: tuple[str, ...] = ()
    weights: np.ndarray | None = None
    labels: tuple[Label, ...] = ()
    kept_by: str | None = None
    locate: Callable[[Invalid], Invalid] = lambda error: error
    named_inputs: bool = False
    named_targets: bool = False

    @property
    def size(self) -> int:
        """The number of examples."""
        return len(self.inputs) if self.episodes is None else int(self.episodes[-1]) + 1

    @property
    def content(self) -> tuple[np.ndarray, ...]:
        """The support set as arrays, different for different support sets of one version of a model."""
        arrays = [self.inputs, self.targets]
        if self.episodes is not None:
            arrays.append(self.episodes)
        if self.weights is not None:
            arrays += [np.array(["weights"], object), self.weights]
        if self.labels:
            arrays += [np.array(["labels"], object), np.array(self.labels, object)]
        return tuple(arrays)

    @property
    def classes(self) -> tuple[Label, ...]:
        """The declared classes, or those of the examples; none where targets are numbers."""
        return self.labels or distinct_labels(self.targets)

    def task(self, steps: int, learning_rate: float, kept_by: str | None = None, *, label_names: bool = False) -> Task:
        """The task of adapting to it, without the examples whose weight is 0. kept_by, label_names: as in a `Task`"""
        inputs = self.inputs if self.features is None else self.features
        kept_by = self.kept_by if kept_by is None else kept_by
        if self.weights is None:
            return Task(
                inputs,
                self.targets,
                steps,
                learning_rate,
                self.episodes,
                labels=self.labels,
                kept_by=kept_by,
                label_names=label_names,
            )
        kept = self.weights > 0
        weights = self.weights[kept]
        return Task(
            inputs[kept],
            self.targets[kept],
            steps,
            learning_rate,
            weights=None if (weights == 1).all() else weights,
            labels=self.labels,
            kept_by=kept_by,
            label_names=label_names,
        )

    def numbers(self, first: int) -> np.ndarray:
        """The number of each row's example, int32 [row], counted from `first`."""
        if self.episodes is None:
            return np.arange(first, first + len(self.inputs), dtype=np.int32)
        return self.episodes + np.int32(first)

    def stage(self, revision: int, first: int) -> Stage:
        """The stage that a record keeps, its examples counted from `first`."""
        return Stage(revision, self.numbers(first), self.inputs, self.targets, self.weights, self.labels, self.columns)
