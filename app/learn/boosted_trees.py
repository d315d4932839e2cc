"""Boosted regression trees as a network of plain tensors."""

import torch
from torch import Tensor, nn

from app.learn.shape_annotations import Float


class BoostedTrees(nn.Module):
    """The sum of regression trees; [batch, inputs] -> [batch, 1].

    All trees take a step at once: from a node to its first child where the input's feature is at most the threshold,
    else to its second child, which is stored behind the first. A leaf is its own first child, under the largest
    threshold, so that rows that have arrived stay. The numbers of features and nodes are float32 like all parameters of
    a bundle; float32 holds them exactly. Nodes are numbered over all trees.

    Ke et al. 2017, "LightGBM: A Highly Efficient Gradient Boosting Decision Tree"
    """

    def __init__(self, trees: int, nodes: int, depth: int) -> None:
        """Make trees that predict 0.

        nodes: the number of nodes of each tree, leaves included
        depth: the number of steps from the root to the deepest leaf
        """
        super().__init__()
        self.depth = depth
        own = torch.arange(trees * nodes, dtype=torch.get_default_dtype()).reshape(trees, nodes)
        self.first_child = nn.Parameter(own)
        self.feature = nn.Parameter(torch.zeros(trees, nodes))
        self.threshold = nn.Parameter(torch.full((trees, nodes), torch.finfo(own.dtype).max))
        self.value = nn.Parameter(torch.zeros(trees, nodes))
        self.constant = nn.Parameter(torch.zeros(1))

    def forward(self, inputs: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch 1"]:
        """The constant and the values of the leaves that each input reaches, summed."""
        first_child, feature = self.first_child.flatten().long(), self.feature.flatten().long()
        threshold = self.threshold.flatten()
        trees, nodes = self.first_child.shape
        roots = torch.arange(trees, device=inputs.device) * nodes
        node = torch.zeros_like(inputs[:, :1], dtype=torch.long) + roots
        row = torch.arange(inputs.shape[0], device=inputs.device).unsqueeze(1)
        for _ in range(self.depth):
            # not `gather`, which would fix the number of tasks in compiled code
            second = inputs[row, feature[node]] > threshold[node]
            node = first_child[node] + second
        values: Tensor = self.value.flatten()[node]
        return values.sum(1, keepdim=True) + self.constant
