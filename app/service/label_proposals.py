"""Which of the candidates to label next, for a classifier."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from app.learn.acquisition import entropy
from app.service.commands import Goal
from app.service.nearest_example import quick_nearest_distances
from app.service.unlike_queries import Far

Choice = tuple[int, float]
"""The index of a candidate, and its score."""
KNOWN = 0.5
"""What a candidate with a certain label is worth beside one whose labels are all as likely, which is worth 1 more.

Entropy alone chooses worse than chance where few examples are known, as it chooses one ambiguous input again and again.
Digits in 5 classes with 1 example each (`omniglot`), 10 of 150 candidates: 1.4 points of accuracy below random ones,
+- 1.2. This rule is 1.5 points above, +- 0.9, and 3.6, +- 1.7, where the classes are not equally frequent.
"""


def choose_labels(
    likely: np.ndarray,
    features: np.ndarray,
    support: np.ndarray | None,
    scale: Sequence[float],
    count: int,
    goal: Goal,
    target: int | None,
    far: Far,
) -> list[Choice]:
    """Choose candidates. Those that are unlike the inputs of training come after all others.

    To learn, one after another: the distance from the nearest example or earlier choice, times `KNOWN` plus the entropy
    of the labels as a share of its maximum. Otherwise by the probability of a label.

    likely: the probabilities, float32 [candidate, label]
    features: float32 [candidate, feature]; scale: by what each feature is divided
    support: those of the examples, float32 [example, feature]; None if there are none
    target: the index of the label to find, or to avoid
    far: which candidates are unlike the inputs of training
    """
    unlike = np.zeros(len(likely), bool) if far is None else np.array(far)
    if goal is Goal.learn:
        most = math.log(likely.shape[1]) or 1.0
        return _diverse(KNOWN + entropy(torch.tensor(likely)).numpy() / most, features, support, scale, count, unlike)
    assert target is not None, "the command was checked"
    scores = likely[:, target].astype(np.float64)
    if goal is Goal.minimize:
        scores = 1 - scores
    return [(int(index), float(scores[index])) for index in np.lexsort((-scores, unlike))[:count]]


def _diverse(
    worth: np.ndarray,
    features: np.ndarray,
    support: np.ndarray | None,
    scale: Sequence[float],
    count: int,
    unlike: np.ndarray,
) -> list[Choice]:
    left, distances = np.ones(len(worth), bool), None
    if support is not None:
        distances = np.array(quick_nearest_distances(features, support, scale))
    choices: list[Choice] = []
    while len(choices) < count:
        scores = worth if distances is None else worth * distances
        alike = left & ~unlike
        among = alike if alike.any() else left
        index = int(np.where(among, scores, -1).argmax())
        choices.append((index, float(scores[index])))
        left[index] = False
        near = np.array(quick_nearest_distances(features, features[index : index + 1], scale))
        distances = near if distances is None else np.minimum(distances, near)
    return choices
