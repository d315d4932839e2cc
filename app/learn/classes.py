"""The classes of a task: which columns of a one-hot target stand for one, and logits that know it.

The class axis is as wide as a batch needs. A column that no real example of the support set has is a class that does
not exist there, so that tasks with different numbers of classes share a batch.
"""

import torch
from torch import Tensor

from app.learn.shapes import Bool, Float


def class_counts(targets: Float[Tensor, "example way"], mask: Bool[Tensor, " example"]) -> Float[Tensor, " way"]:
    """How many real examples each class has, in the type of the targets: a state is of one type."""
    return targets.where(mask.unsqueeze(-1), 0.0).sum(0)


def mask_absent(logits: Float[Tensor, "query way"], counts: Float[Tensor, " way"]) -> Float[Tensor, "query way"]:
    """The logits, with the lowest finite number for classes without examples: their probability is 0.

    Not minus infinity: 0 times that is NaN. Where no class has an example, all have the same probability.
    """
    return torch.where(counts > 0, logits, torch.finfo(logits.dtype).min)
