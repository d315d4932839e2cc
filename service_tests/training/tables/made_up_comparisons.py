"""Comparisons with scores that are given."""

from collections.abc import Mapping, Sequence

import numpy as np

from app.training.tables.comparison import Comparison
from app.training.tables.held_out_rows import Protocol
from app.training.tables.scores import TaskScores


def comparison_of(errors: Mapping[str, Sequence[Sequence[float]]], chosen: Sequence[str]) -> Comparison:
    """A comparison of the model `model` with all others.

    errors: by name, [size][task]
    chosen: the baseline of each size
    """
    scores = {name: _scores(np.array(each)) for name, each in errors.items()}
    tasks = len(errors["model"][0])
    return Comparison(
        "model",
        [name for name in errors if name != "model"],
        Protocol(sizes=(0, 3, 5)[: len(chosen)]),
        [f"task {number}" for number in range(tasks)],
        scores,
        [[name] * tasks for name in chosen],
    )


def _scores(errors: np.ndarray) -> TaskScores:
    return TaskScores(errors, np.full(errors.shape, 0.9), errors)
