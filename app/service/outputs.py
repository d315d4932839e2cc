"""What is particular to a kind of prediction when it is served. Its loss is in `app.learn.losses`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from app.bundles import Schema
from app.learn import policies
from app.learn.calibration import Calibration
from app.service.task import Task


class Predicted(NamedTuple):
    """An answer to queries. What does not apply is None.

    predictions: float32 [query, target], or labels [query], the most probable ones
    labels: the classes of the support set
    probabilities: float32 [query, label]
    unlike: whether each query is unlike anything in the support set
    lower, upper: float32 [query, target], the interval that was asked for
    std: float32 [query, target], the standard deviation of each prediction, where the algorithm knows it, or of the
        numbers of an action
    mean: float32 [query, target], the mean of the numbers of an action
    """

    predictions: np.ndarray | Sequence[str]
    labels: Sequence[str] | None = None
    probabilities: np.ndarray | None = None
    unlike: Sequence[bool] | None = None
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None
    std: np.ndarray | None = None
    mean: np.ndarray | None = None


class PredictOptions(NamedTuple):
    """What is wanted of an answer.

    interval: the share of true values that the interval is to hold, where one is asked for
    sample: whether actions are drawn; else they are the most probable ones
    seed: of the draws; None for other ones each time
    """

    interval: float | None = None
    sample: bool = False
    seed: int | None = None


DEFAULT_OPTIONS = PredictOptions()
Answering = Callable[[np.ndarray, Task | None, Schema, Calibration, PredictOptions], Predicted]
"""(outputs [query, target or class], the task adapted to, schema and trust of the bundle, what is wanted) -> answer"""


@dataclass(frozen=True)
class Kind:
    """What serving has to know of a kind.

    labels: whether targets are labels, so that nothing can be answered without a support set to name the classes
    staged: whether examples are episodes, and a posted set of them is a stage that begins with the weights after the
        one before
    """

    answer: Answering
    labels: bool = False
    staged: bool = False


def _numbers(
    outputs: np.ndarray, task: Task | None, schema: Schema, calibration: Calibration, wishes: PredictOptions
) -> Predicted:
    if wishes.interval is None:
        return Predicted(outputs)
    assert task is not None, "intervals are of adaptations"
    half = np.array(calibration.interval(wishes.interval, len(task.inputs)), np.float32)
    return Predicted(outputs, lower=outputs - half, upper=outputs + half)


def _classes(
    outputs: np.ndarray, task: Task | None, schema: Schema, calibration: Calibration, wishes: PredictOptions
) -> Predicted:
    assert task is not None, "a support set makes the classes"
    likely = probabilities(outputs, calibration.temperature)
    unlike = None
    if calibration.has_familiarity:
        unlike = (outputs.max(1) < calibration.familiarity_threshold(len(task.inputs) / len(task.classes))).tolist()
    found = [task.classes[index] for index in outputs.argmax(1).tolist()]
    return Predicted(found, task.classes, likely, unlike)


def _decisions(
    outputs: np.ndarray, task: Task | None, schema: Schema, calibration: Calibration, wishes: PredictOptions
) -> Predicted:
    assert schema.actions is not None, "a bundle of decisions says what an action is"
    if not schema.actions.is_box:
        likely = probabilities(outputs, 1.0)
        if not wishes.sample:
            return Predicted(likely.argmax(1), probabilities=likely)
        drawn = noise(len(outputs), 1, wishes.seed)
        return Predicted(
            (likely.cumsum(1, np.float64) <= drawn * likely.sum(1, keepdims=True)).sum(1), probabilities=likely
        )
    mean, std = _mean_and_deviation(outputs)
    if not wishes.sample:
        low, high = _bounds(schema.actions.low), _bounds(schema.actions.high)
        return Predicted(np.minimum(np.maximum(mean, low), high), mean=mean, std=std)
    drawn = torch.special.ndtri(torch.from_numpy(noise(len(mean), mean.shape[1], wishes.seed))).numpy()
    return Predicted((mean + std * drawn).astype(np.float32), mean=mean, std=std)


@lru_cache(maxsize=256)
def _bounds(numbers: tuple[float, ...]) -> np.ndarray:
    """Made once: a request of one query takes 90 us, and this 1 each."""
    return np.array(numbers, np.float32)


def _mean_and_deviation(outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`policies.mean_and_deviation` of a row or two: torch takes 15 us to be called for them, numpy 3."""
    actions = outputs.shape[1] // 2
    return outputs[:, :actions], np.exp(np.maximum(outputs[:, actions:], policies.MIN_LOG_DEVIATION))


def noise(rows: int, each: int, seed: int | None) -> np.ndarray:
    """Numbers from U(0, 1), float64 [row, each]; those of a row depend on the seed and on its place alone.

    Philox counts: number i of a stream is the same however many are drawn. Salmon et al. 2011, "Parallel random
    numbers: as easy as 1, 2, 3"
    """
    unit = np.random.Generator(np.random.Philox(seed)).random((rows, each))
    return unit.clip(2.0**-54, 1 - 2.0**-53)  # neither 0 nor 1, where a normal number is not finite


def probabilities(logits: np.ndarray, temperature: float) -> np.ndarray:
    """The softmax of `logits / temperature` over the last axis, as float32."""
    scaled = logits.astype(np.float64) / temperature
    likely = np.exp(scaled - scaled.max(-1, keepdims=True))
    shares: np.ndarray = (likely / likely.sum(-1, keepdims=True)).astype(np.float32)
    return shares


KINDS: Mapping[str, Kind] = {
    "regression": Kind(_numbers),
    "classification": Kind(_classes, labels=True),
    "decision": Kind(_decisions, staged=True),
}
