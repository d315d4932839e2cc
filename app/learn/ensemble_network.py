"""The network of an ensemble of models of a table: what its members see of a row, side by side.

A pooled model predicts a row without knowing its task: a mixture of a linear model, a perceptron and boosted trees.
Each member sees a prediction of it, or none, and features of its own; `app.learn.ensemble_head` then learns the task.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor, nn

from app.errors import expectation, one_of
from app.learn.boosted_trees import BoostedTrees
from app.learn.ensemble_head import Ensemble
from app.learn.shape_annotations import Float

POOLED = ("mixture", "linear", "perceptron", "trees")
"""The predictions of the pooled model that a member can see: the mixture, or one of its parts."""


def side_by_side(parts: Sequence[Float[Tensor, "batch _"]], width: int) -> Float[Tensor, "batch {width}"]:
    """The columns of all parts, and zeros behind; [batch, width].

    Each part is padded and all are added: `cat` under `vmap` would fix the number of tasks in compiled code.

    Raises ValueError where they have more columns than that.
    """
    ends = list(accumulate((part.shape[1] for part in parts), initial=0))
    if ends[-1] > width:
        raise ValueError(expectation("width", f"at least {ends[-1]}, the columns of a member", width))
    padded = [
        nn.functional.pad(part, (start, width - start - part.shape[1]))
        for start, part in zip(ends, parts, strict=False)
    ]
    total = padded[0]
    for part in padded[1:]:
        total = total + part
    return total


class Standardise(nn.Module):
    """`(x - mean) / std`; [batch, inputs] -> [batch, inputs]."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(inputs))
        self.std = nn.Parameter(torch.ones(inputs))

    def forward(self, inputs: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch feature"]:
        """The standardised inputs."""
        return (inputs - self.mean) / self.std


class Pooled(nn.Module):
    """Predicts a row without its task, in the order of POOLED; (raw inputs, standardised inputs) -> [batch, 4]."""

    def __init__(self, inputs: int, hidden: Sequence[int], trees: Mapping[str, int]) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, 1)
        self.perceptron = tanh_perceptron([inputs, *hidden, 1])
        self.trees = BoostedTrees(**trees)
        self.mixture = nn.Linear(3, 1)

    def forward(
        self, raw: Float[Tensor, "batch feature"], inputs: Float[Tensor, "batch feature"]
    ) -> Float[Tensor, "batch 4"]:
        """The mixture of the parts, and the parts."""
        parts = side_by_side([self.linear(inputs), self.perceptron(inputs), self.trees(raw)], 3)
        return side_by_side([self.mixture(parts), parts], 4)


def tanh_perceptron(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers of these widths, the inputs first, with tanh between them."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


class RadialFeatures(nn.Module):
    """Features whose products are an RBF kernel, as far as it is spanned by its values at some points, and the inputs.

    `k(x, Z) A` for `k(x, z) = exp(-|(x - z) / length|^2 / 2)`; with `A = k(Z, Z)^-1/2` this is Nystrom's approximation:
    Williams and Seeger 2001, "Using the Nystrom Method to Speed Up Kernel Machines"
    """

    def __init__(self, inputs: int, points: int, outputs: int) -> None:
        """Make the features. outputs: the number of linear ones, behind the radial ones."""
        super().__init__()
        self.points = nn.Parameter(torch.zeros(points, inputs))
        self.length = nn.Parameter(torch.ones(inputs))
        self.whiten = nn.Parameter(torch.eye(points))
        self.linear = nn.Linear(inputs, outputs, bias=False)

    def forward(self, inputs: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch embedding"]:
        """The features."""
        distance = ((inputs.unsqueeze(1) - self.points) / self.length).square().sum(-1)
        radial, linear = (-distance / 2).exp() @ self.whiten, self.linear(inputs)
        return side_by_side([radial, linear], radial.shape[1] + linear.shape[1])


class Splines(nn.Module):
    """The inputs and hinges `max(input - knot, 0)`, standardised: a linear spline of each input."""

    def __init__(self, inputs: int, hinges: int) -> None:
        """Make the features.

        hinges: how many there are; `select` [hinge, input] has a 1 for the input of each
        """
        super().__init__()
        self.select = nn.Parameter(torch.zeros(hinges, inputs))
        self.knots = nn.Parameter(torch.zeros(hinges))
        self.standardise = Standardise(inputs + hinges)

    def forward(self, inputs: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch embedding"]:
        """The features."""
        hinges = nn.functional.relu(inputs @ self.select.mT - self.knots)
        standardised: Tensor = self.standardise(side_by_side([inputs, hinges], inputs.shape[1] + hinges.shape[1]))
        return standardised


FEATURES: dict[str, Callable[..., nn.Module]] = {
    "linear": lambda inputs, outputs: nn.Linear(inputs, outputs, bias=False),
    "perceptron": lambda inputs, hidden, outputs: tanh_perceptron([inputs, *hidden, outputs]),
    "radial": RadialFeatures,
    "splines": Splines,
}
"""The features of a member, by name: (number of inputs, options) -> a network from standardised inputs."""


class Member(nn.Module):
    """What one member sees of a row: a prediction of the pooled model, its features, and zeros behind."""

    def __init__(
        self, inputs: int, width: int, pooled: str = "", features: str = "", discount: float = 1.0, **options: Any
    ) -> None:
        """Make the features.

        width: the length of the embedding
        pooled: one of POOLED; empty for none
        features: a key of FEATURES, with its options; empty for none
        discount: below 1, the last known rows count most (`app.learn.recency_weights`)
        """
        super().__init__()
        for name, value, known in (("pooled", pooled, POOLED), ("features", features, FEATURES)):
            if value and value not in known:
                raise ValueError(expectation(name, f"{one_of(sorted(known))}, or an empty string", repr(value)))
        if not 0 <= discount <= 1:
            raise ValueError(expectation("discount", "0 to 1", discount))
        self.pooled, self.width, self.discount = pooled, width, discount
        self.features = FEATURES[features](inputs, **options) if features else None

    def forward(
        self, pooled: Float[Tensor, "batch 4"], inputs: Float[Tensor, "batch feature"]
    ) -> Float[Tensor, "batch embedding"]:
        """The embedding, of length `width`."""
        parts = []
        if self.pooled:
            column = POOLED.index(self.pooled)
            parts.append(pooled[:, column : column + 1])
        if self.features is not None:
            parts.append(self.features(inputs))
        return side_by_side(parts or [inputs[:, :0]], self.width)


class EnsembleNetwork(Ensemble):
    """The embeddings of all members side by side; [batch, inputs] -> [batch, members * width]."""

    def __init__(
        self,
        inputs: int,
        width: int,
        members: Sequence[Mapping[str, Any]],
        pooled_hidden: Sequence[int] = (32, 32),
        trees: Mapping[str, int] | None = None,
    ) -> None:
        """Make the members.

        width: the length of a member's embedding
        members: the options of each (`Member`)
        pooled_hidden: the hidden layers of the pooled perceptron
        trees: the options of the pooled trees (`BoostedTrees`)
        """
        super().__init__()
        self.width = width
        self.standardise = Standardise(inputs)
        self.pooled = Pooled(inputs, pooled_hidden, trees or {"trees": 1, "nodes": 1, "depth": 0})
        parts = [Member(inputs, width, **options) for options in members]
        self.member, self.discounts = nn.ModuleList(parts), tuple(part.discount for part in parts)

    def forward(self, inputs: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch embedding"]:
        """The embeddings."""
        standard = self.standardise(inputs)
        pooled = self.pooled(inputs, standard)
        return side_by_side([member(pooled, standard) for member in self.member], len(self.discounts) * self.width)
