"""The classes of a task: which columns of a one-hot target are in use, and logits without the others.

The class axis is as wide as the task of a batch with the most classes needs, so that tasks with different numbers of
classes share a batch. A class without examples in a task's support set does not exist in that task, unless the task
declares it.
"""

import torch
from torch import Tensor

from app.learn.example_weights import Mask, weighted
from app.learn.shape_annotations import Float


def class_counts(targets: Float[Tensor, "example way"], mask: Mask) -> Float[Tensor, " way"]:
    """The number of examples of each class, or the sum of their weights, in the type of the targets.

    A state has one type.
    """
    return weighted(targets, mask).sum(0)


def mask_absent(logits: Float[Tensor, "query way"], counts: Float[Tensor, " way"]) -> Float[Tensor, "query way"]:
    """The logits, with the lowest finite number for classes that do not exist, so that their probability is 0.

    Minus infinity would become NaN when multiplied by 0. If no class has an example, all have the same probability.
    """
    return torch.where(counts > 0, logits, torch.finfo(logits.dtype).min)
