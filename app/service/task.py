"""A task to adapt to."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from app.encoders.label_words import label_words
from app.learn.query_ood import ComparisonRows
from app.learn.support_ood import OODReference
from app.service.class_labels import Label, class_indices, distinct_labels

ROW_BYTES, VALUE_BYTES = 64, 64
"""About what a row of a record takes in memory, and each of its values."""


@dataclass(eq=False)
class Task:
    """A support set with its inner-loop settings. Nothing changes it.

    inputs: float32 [shot, feature]; in a task of a record as it keeps them (`app.service.stored_examples.Stage`)
    targets: float32 [shot, target]; or labels in an object array [shot]; or decisions, float32
        (`app.service.decisions`)
    episodes: for decisions, the number of each row's episode, int32 [shot], ascending
    previous: for decisions, the stage before, whose fast weights this one begins with
    weights: the weight of each example, float32 [shot], all above 0; None where all are 1
    labels: the classes, all labels of the targets among them; empty where the targets alone tell
    kept_by: the owner of the inputs where the worker encodes them (`app.service.feature_cache`), as it does those of
        records; None where they are features
    label_names: whether the words of each class count as one more example, which the worker adds
    named: how many examples at the end it has added
    """

    inputs: np.ndarray
    targets: np.ndarray
    steps: int
    learning_rate: float
    episodes: np.ndarray | None = None
    previous: "Task | None" = None
    weights: np.ndarray | None = None
    labels: tuple[Label, ...] = ()
    kept_by: str | None = None
    label_names: bool = False
    named: int = 0
    rows: int = field(init=False)
    bytes: int = field(init=False)
    far_inputs: tuple[OODReference, bool] | None = field(default=None, init=False)
    """What `has_far_inputs` found last, with the reference that it compared with."""
    encoded: "tuple[str, Task] | None" = field(default=None, init=False)
    """The digest of a bundle, and this task with its features, which `feature_cache.encode_tasks` keeps here."""
    compared: ComparisonRows | None = field(default=None, init=False)
    """What `similar_examples.compare` has made of the inputs."""

    def __post_init__(self) -> None:
        inputs, previous = self.inputs, self.previous
        self.rows = len(inputs)
        self.bytes = self.targets.nbytes + (rows_bytes(inputs) if inputs.dtype.kind == "O" else inputs.nbytes)
        if self.weights is not None:
            self.bytes += self.weights.nbytes
        if previous is not None:
            self.rows += previous.rows
            self.bytes += previous.bytes

    def encoded_for(self, digest: str) -> "Task | None":
        """This task with the features of the bundle with this digest, where they are kept."""
        known, encoded = self.encoded or ("", None)
        return encoded if known == digest else None

    @property
    def compared_bytes(self) -> int:
        """The size that `compared` has, or would have, where the inputs are features."""
        row_bytes: int = self.inputs.itemsize * self.inputs.shape[1] + 1
        return row_bytes * (len(self.inputs) + len(self.classes))

    def has_far_inputs(self, reference: OODReference) -> bool:
        """Whether inputs lie beyond those of training. The task keeps the answer."""
        if self.far_inputs is None or self.far_inputs[0] is not reference:
            weights = None if self.weights is None else torch.tensor(self.weights)
            self.far_inputs = reference, reference.has_far_inputs(torch.tensor(self.inputs), weights)
        return self.far_inputs[1]

    def with_inputs(self, features: np.ndarray) -> "Task":
        """The same task of one stage with these features, float32 [shot, feature], as its inputs."""
        return replace(self, inputs=features, kept_by=None)

    @property
    def stages(self) -> "list[Task]":
        """The stages before and this one, in order."""
        stages, stage = [self], self.previous
        while stage is not None:
            stages.append(stage)
            stage = stage.previous
        return stages[::-1]

    @property
    def size(self) -> int | float:
        """The number of examples, each as often as its weight says."""
        return len(self.inputs) if self.weights is None else float(self.weights.sum(dtype=np.float64))

    @cached_property
    def encoding_seconds(self) -> dict[str, float]:
        """About how long encoding the inputs takes, by the digest of a bundle. `Model.encoding_seconds` fills it."""
        return {}

    @cached_property
    def cut_inputs(self) -> dict[str, list[int]]:
        """The rows of which only the beginning is encoded, by the digest of a bundle. `cut_texts` fills it.

        They are few: a text is longer than the encoder reads, or it is not here.
        """
        return {}

    @cached_property
    def classes(self) -> tuple[Label, ...]:
        """`labels`, or the labels in the order of their first example; none where targets are numbers."""
        return self.labels or distinct_labels(self.targets)

    @cached_property
    def names(self) -> dict[Label, str]:
        """The words of each class that count as an example, by its label; none where they do not."""
        if not self.label_names:
            return {}
        words = zip(self.classes, label_words(self.classes), strict=True)
        return {label: text for label, text in words if text is not None}

    @property
    def shots(self) -> float:
        """The examples of a class, on average over the classes that have any; a name is one of them."""
        with_any = {(type(label), label) for label in (*distinct_labels(self.targets), *self.names)}
        return (self.size + len(self.names)) / max(1, len(with_any))

    def with_names(self, features: np.ndarray, words: np.ndarray) -> "Task":
        """The same task with features as its inputs, and with those of `names` as its last examples.

        features: float32 [shot, feature]; words: float32 [name, feature]
        """
        names = [*self.names]
        weights = self.weights
        return replace(
            self,
            inputs=np.concatenate([features, words]),
            targets=np.concatenate([self.targets, np.array(names, object)]),
            weights=None if weights is None else np.concatenate([weights, np.ones(len(names), np.float32)]),
            labels=self.classes,
            kept_by=None,
            label_names=False,
            named=len(names),
        )

    @property
    def classes_with_examples(self) -> int:
        """The number of classes that have an example."""
        return len(distinct_labels(self.targets)) if self.labels else len(self.classes)

    @property
    def indices(self) -> np.ndarray:
        """The class of each example as an index into `classes`, int64 [shot]."""
        return np.array(class_indices(self.targets.tolist(), self.classes), np.int64)

    def one_hot(self, ways: int) -> np.ndarray:
        """The classes of the examples, one-hot, float32 [shot, way]."""
        hot = np.zeros((len(self.targets), ways), np.float32)
        hot[np.arange(len(hot)), self.indices] = 1
        return hot


def rows_bytes(inputs: np.ndarray) -> int:
    """The size of inputs: of numbers, or of the rows of a record."""
    if inputs.dtype != object:
        return inputs.nbytes
    return sum(row.nbytes if isinstance(row, np.ndarray) else _row_bytes(row) for row in inputs)


def _row_bytes(row: Any) -> int:
    return ROW_BYTES + len(row) * (1 if isinstance(row, str | bytes) else VALUE_BYTES)
