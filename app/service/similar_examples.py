"""How alike queries and a support set are, where both are embeddings: by the cosines between them."""

from typing import NamedTuple

import numpy as np
import torch

from app.learn.query_ood import ComparisonRows, comparison_rows, cosines_to
from app.service.task import Task


class Similar(NamedTuple):
    """What is said of each query.

    similarity: the cosine to the nearest example or mean of a class, float32 [query]; names of classes are examples
    nearest: the row of the nearest example of the support set, int64 [query]; None if it has only names
    """

    similarity: np.ndarray
    nearest: np.ndarray | None


def compare(queries: np.ndarray, task: Task) -> Similar:
    """Compare queries, float32 [query, feature], with a task whose inputs are features."""
    rows, support = _tensor(queries), _comparison_rows(task)
    similarity = cosines_to(rows, support).numpy()
    if not (examples := len(examples_of(task))):
        return Similar(similarity, None)
    cosines = rows @ support.rows[:examples].T  # the length of a query does not matter
    return Similar(similarity, cosines.argmax(-1).numpy())


def _comparison_rows(task: Task) -> ComparisonRows:
    """What queries are compared with. The task keeps it."""
    if task.compared is None:
        mask = torch.ones(len(task.inputs), dtype=torch.bool) if task.weights is None else _tensor(task.weights)
        task.compared = comparison_rows(_tensor(task.inputs), _tensor(task.one_hot(len(task.classes))), mask)
    return task.compared


def _tensor(array: np.ndarray) -> torch.Tensor:
    """The numbers of an array, which a record may have read-only: PyTorch wants to write."""
    return torch.from_numpy(np.require(array, requirements="W"))


def examples_of(task: Task) -> np.ndarray:
    """The inputs of a task without those that the names of its classes make."""
    return task.inputs[: len(task.inputs) - task.named]
