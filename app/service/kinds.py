"""What is particular to a kind of prediction when it is served. Its loss is in `app.learn.losses`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from app.learn.trust import Trust
from app.service.task import Task


class Predicted(NamedTuple):
    """An answer to queries. What does not apply is None.

    predictions: float32 [query, target], or labels [query], the most probable ones
    labels: the classes of the support set
    probabilities: float32 [query, label]
    unlike: whether each query is unlike anything in the support set
    lower, upper: float32 [query, target], the interval that was asked for
    std: float32 [query, target], the standard deviation of each prediction, where the algorithm knows it
    """

    predictions: np.ndarray | Sequence[str]
    labels: Sequence[str] | None = None
    probabilities: np.ndarray | None = None
    unlike: Sequence[bool] | None = None
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None
    std: np.ndarray | None = None


Answering = Callable[[np.ndarray, Task | None, Trust, float | None], Predicted]
"""(outputs [query, target or class], the task adapted to, what is known of trust, the share to hold) -> the answer"""


@dataclass(frozen=True)
class Kind:
    """labels: whether targets are labels, so that nothing can be answered without a support set to name the classes."""

    labels: bool
    answer: Answering


def _numbers(outputs: np.ndarray, task: Task | None, trust: Trust, interval: float | None) -> Predicted:
    if interval is None:
        return Predicted(outputs)
    assert task is not None, "intervals are of adaptations"
    half = np.array(trust.interval(interval, len(task.inputs)), np.float32)
    return Predicted(outputs, lower=outputs - half, upper=outputs + half)


def _classes(outputs: np.ndarray, task: Task | None, trust: Trust, interval: float | None) -> Predicted:
    assert task is not None, "a support set makes the classes"
    likely = probabilities(outputs, trust.temperature)
    unlike = None
    if trust.knows_the_familiar:
        unlike = (outputs.max(1) < trust.least_familiar(len(task.inputs) / len(task.classes))).tolist()
    found = [task.classes[index] for index in outputs.argmax(1).tolist()]
    return Predicted(found, task.classes, likely, unlike)


def probabilities(logits: np.ndarray, temperature: float) -> np.ndarray:
    """The softmax of `logits / temperature` over the last axis, as float32."""
    scaled = logits.astype(np.float64) / temperature
    likely = np.exp(scaled - scaled.max(-1, keepdims=True))
    shares: np.ndarray = (likely / likely.sum(-1, keepdims=True)).astype(np.float32)
    return shares


KINDS: Mapping[str, Kind] = {
    "regression": Kind(labels=False, answer=_numbers),
    "classification": Kind(labels=True, answer=_classes),
}
