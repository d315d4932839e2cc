"""How alike queries and a support set are, where both are embeddings: by the cosines between them."""

from typing import NamedTuple

import numpy as np
import torch

from app.learn.query_ood import largest_cosines
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
    asked, support = _tensor(queries), _tensor(task.inputs)
    targets = _tensor(task.one_hot(len(task.classes)))
    mask = torch.ones(len(support), dtype=torch.bool) if task.weights is None else _tensor(task.weights)
    similarity = largest_cosines(asked, support, targets, mask)
    examples = _tensor(examples_of(task))
    if not len(examples):
        return Similar(similarity.numpy(), None)
    cosines = asked @ torch.nn.functional.normalize(examples, dim=-1).T  # the length of a query does not matter
    return Similar(similarity.numpy(), cosines.argmax(-1).numpy())


def _tensor(array: np.ndarray) -> torch.Tensor:
    """The numbers of an array, which a record may have read-only: PyTorch wants to write."""
    return torch.from_numpy(np.require(array, requirements="W"))


def examples_of(task: Task) -> np.ndarray:
    """The inputs of a task without those that the names of its classes make."""
    return task.inputs[: len(task.inputs) - task.named]
