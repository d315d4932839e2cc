"""From the outputs of a network to an answer, for each kind of prediction. Losses are in `app.learn.losses`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from app.bundles.manifest import Manifest
from app.learn import policies
from app.learn.policies import Actions
from app.service.class_labels import Label
from app.service.intervals import intervals
from app.service.nearest_example import Distances
from app.service.seeded_noise import noise
from app.service.task import Task
from app.service.unlike_queries import (
    Far,
    far_queries,
    or_far_from_examples,
    or_unlike_every_class,
    or_unlike_every_example,
)

QUICK_NUMBERS = 20_000
"""An answer of so many numbers is computed and written on the event loop, which takes a few milliseconds."""


class Answer(NamedTuple):
    """The answer to queries. What does not apply is None.

    predictions: float32 [query, target]; labels [query], the most probable ones; or actions
    labels: the classes of the task
    probabilities: float32 [query, label], or [query, action]
    unlike: for each query, whether it is unlike anything in the support set, or unlike the inputs of training; None
        where there is nothing to compare with
    lower, upper: float32 [query, target], the interval that was asked for; NaN for a query that is `unlike`
    std: float32 [query, target], the standard deviation of each prediction, where the algorithm has one, or of the
        numbers of an action
    mean: float32 [query, target], the mean of the numbers of an action
    similarity: float32 [query], how alike it and the support set are, where the calibration has a similarity
    nearest_examples: the row of the nearest example of the support set, int [query]
    """

    predictions: np.ndarray | Sequence[Label]
    labels: Sequence[Label] | None = None
    probabilities: np.ndarray | None = None
    unlike: Sequence[bool] | None = None
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None
    std: np.ndarray | None = None
    mean: np.ndarray | None = None
    similarity: np.ndarray | None = None
    nearest_examples: np.ndarray | None = None


class PredictOptions(NamedTuple):
    """How queries are to be answered.

    interval: the share of true values that the interval should cover; None for no interval
    sample: whether actions are drawn; otherwise they are the most probable ones
    seed: of the draws; None for different draws each time
    """

    interval: float | None = None
    sample: bool = False
    seed: int | None = None


DEFAULT_OPTIONS = PredictOptions()


class Outputs(NamedTuple):
    """Outputs of a network, and what turns them into an answer.

    numbers: float32 [query, output]
    task: the task adapted to; None for the initialization
    distances: how far each query is from the nearest support example, where the calibration has distances
    std: the standard deviation of each number, where the algorithm gives it
    similarity: how alike it and the support set are, where the calibration has a similarity
    """

    numbers: np.ndarray
    far: Far
    task: Task | None
    manifest: Manifest
    options: PredictOptions
    distances: Distances | None
    std: np.ndarray | None = None
    similarity: np.ndarray | None = None


@dataclass(frozen=True)
class Kind:
    """What serving has to know of a kind of prediction.

    answer: from the outputs of the network to the answer
    intervals: whether predictions are numbers that can have intervals
    labels: whether targets are labels, so that only a support set says which classes there are
    staged: whether examples are episodes; each posted set is a stage that begins with the weights after the one before
    """

    answer: Callable[[Outputs], Answer]
    intervals: bool = False
    labels: bool = False
    staged: bool = False


def answer_queries(
    outputs: np.ndarray,
    queries: np.ndarray,
    task: Task | None,
    manifest: Manifest,
    options: PredictOptions,
    distances: Distances | None = None,
    std: np.ndarray | None = None,
    similarity: np.ndarray | None = None,
) -> Answer:
    """The answer to queries, float32 [query, feature].

    outputs: of the network, [query, output]
    distances: how far each query is from the nearest support example, where the calibration has distances
    std: the standard deviation of each number, where the algorithm gives it
    similarity: how alike it and the support set are, where the calibration has a similarity
    """
    far = far_queries(queries, manifest)
    return KINDS[manifest.kind].answer(Outputs(outputs, far, task, manifest, options, distances, std, similarity))


def _regression(outputs: Outputs) -> Answer:
    numbers, far, task, manifest, options, distances, std, _ = outputs
    if distances is None and options.interval is None:  # before what takes longer
        return Answer(numbers, unlike=far, std=std)
    size, calibration = 0 if task is None else task.size, manifest.calibration
    if distances is not None:
        far = or_far_from_examples(far, distances, calibration.largest_distance(size))
    if options.interval is None:
        return Answer(numbers, unlike=far, std=std)
    lower, upper = intervals(numbers, options.interval, calibration, size, distances, far, std)
    return Answer(numbers, unlike=far, lower=lower, upper=upper, std=std)


def _classification(outputs: Outputs) -> Answer:
    numbers, far, task, manifest, *_, similarity = outputs
    assert task is not None, "a support set names the classes"
    unlike, calibration = far, manifest.calibration
    if calibration.has_familiarity and task.rows:
        unlike = or_unlike_every_class(far, numbers, calibration, task.size / task.classes_with_examples)
    if similarity is not None:
        unlike = or_unlike_every_example(far, similarity, calibration, task.shots)
    labels = [task.classes[index] for index in numbers.argmax(1).tolist()]
    likely = probabilities(numbers, calibration.temperature)
    return Answer(labels, task.classes, likely, unlike, similarity=similarity)


def _decision(outputs: Outputs) -> Answer:
    numbers, far, _, manifest, options, *_ = outputs
    actions = manifest.schema.actions
    assert actions is not None, "a bundle of decisions says what an action is"
    if actions.is_box:
        return _box(numbers, far, actions, options)
    likely = probabilities(numbers, 1.0)
    if not options.sample:
        return Answer(likely.argmax(1), probabilities=likely, unlike=far)
    drawn = noise(len(numbers), 1, options.seed)
    # the first action whose cumulative probability is above the draw
    chosen = (likely.cumsum(1, np.float64) <= drawn * likely.sum(1, keepdims=True)).sum(1)
    return Answer(chosen, probabilities=likely, unlike=far)


def _box(outputs: np.ndarray, far: Far, actions: Actions, options: PredictOptions) -> Answer:
    """Actions that are numbers, by a Gaussian policy."""
    mean, std = _mean_and_std(outputs)
    if not options.sample:
        low, high = _bounds(actions.low), _bounds(actions.high)
        return Answer(np.minimum(np.maximum(mean, low), high), unlike=far, mean=mean, std=std)
    drawn = torch.special.ndtri(torch.from_numpy(noise(len(mean), mean.shape[1], options.seed))).numpy()
    return Answer((mean + std * drawn).astype(np.float32), unlike=far, mean=mean, std=std)


@lru_cache(maxsize=256)
def _bounds(numbers: tuple[float, ...]) -> np.ndarray:
    """Cached: a request of one query takes 90 us, and making each of these 1 us."""
    return np.array(numbers, np.float32)


def _mean_and_std(outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`policies.mean_and_deviation` in numpy: for a few rows it takes 3 us, and torch 15."""
    actions = outputs.shape[1] // 2
    return outputs[:, :actions], np.exp(np.maximum(outputs[:, actions:], policies.MIN_LOG_DEVIATION))


def probabilities(logits: np.ndarray, temperature: float) -> np.ndarray:
    """The softmax of `logits / temperature` over the last axis, as float32."""
    scaled = logits.astype(np.float64) / temperature
    likely = np.exp(scaled - scaled.max(-1, keepdims=True))
    shares: np.ndarray = (likely / likely.sum(-1, keepdims=True)).astype(np.float32)
    return shares


KINDS: Mapping[str, Kind] = {
    "regression": Kind(_regression, intervals=True),
    "classification": Kind(_classification, labels=True),
    "decision": Kind(_decision, staged=True),
}
