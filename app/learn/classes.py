"""The classes of a task: which columns of a one-hot target are in use, and logits without the others.

The class axis is as wide as the task of a batch with the most classes needs, so that tasks with different numbers of
classes share a batch. A class without real examples in a task's support set does not exist in that task.
"""

import torch
from torch import Tensor

from app.learn.shapes import Bool, Float


def class_counts(targets: Float[Tensor, "example way"], mask: Bool[Tensor, " example"]) -> Float[Tensor, " way"]:
    """The number of real examples of each class, in the type of the targets, because a state has one type."""
    return targets.where(mask.unsqueeze(-1), 0.0).sum(0)


def mask_absent(logits: Float[Tensor, "query way"], counts: Float[Tensor, " way"]) -> Float[Tensor, "query way"]:
    """The logits, with the lowest finite number for classes without examples, so that their probability is 0.

    Minus infinity would become NaN when multiplied by 0. If no class has an example, all have the same probability.
    """
    return torch.where(counts > 0, logits, torch.finfo(logits.dtype).min)
