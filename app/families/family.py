"""What a family is: a problem whose tasks share an initialization."""

from typing import Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from app.learn.networks import NetworkSpec
from app.learn.policies import Actions, Weighing
from app.learn.shapes import Float

Split = Literal["training", "validation", "test"]
"""Which tasks: those that are learned from, those that choices are made by, those that a figure is published of."""


class Samples(NamedTuple):
    """Labelled examples drawn from a batch of tasks, each task's independent of one another.

    Of a classification family the classes take turns, example i is of way `i % ways`, and a target is one-hot over the
    ways: the first `k * ways` examples of a task are `k` of each class.
    """

    inputs: Float[Tensor, "task example feature"]
    targets: Float[Tensor, "task example target"]


@runtime_checkable
class Family(Protocol):
    """A distribution of tasks, with the form of their examples and a network that fits them.

    A family is found by the name of its factory, a function or class that takes keyword options with defaults, all
    plain JSON values, and returns this (`registry`). What only some families have is a protocol of its own below.
    A family that reads a data set takes `data` too, the folder it is in or None, and reads it when it is first sampled
    from.
    """

    @property
    def kind(self) -> str:
        """What is predicted: a key of `app.learn.losses.KINDS`."""

    @property
    def features(self) -> int:
        """Numbers in an input."""

    @property
    def targets(self) -> int:
        """Numbers in a target, without the weight of a decision; the ways of a task where nobody says how many."""

    @property
    def network(self) -> NetworkSpec:
        """The network that fits it, unless a recipe names another."""

    def sample(
        self,
        tasks: int,
        examples: int,
        generator: torch.Generator,
        ways: int | None = None,
        split: Split = "training",
    ) -> Samples:
        """Draw `tasks` tasks and `examples` examples of each, on the generator's device.

        ways: of a classification, the classes of each task, with `examples` of each class; `targets` where it is None
        split: of which tasks; all the same where a family has fresh ones without end

        Raises DataError where the data set is not there, or does not have as many classes or examples.
        """


@runtime_checkable
class HasShape(Protocol):
    """A family whose inputs have a shape; without this an input is a row of numbers."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an input, as people write it; its product is `features`."""


@runtime_checkable
class HasImages(Protocol):
    """A family whose inputs may be images."""

    @property
    def image(self) -> str:
        """How an image becomes an input (`app.bundles.Schema`)."""


@runtime_checkable
class HasActions(Protocol):
    """A family of decisions.

    Its `targets` are the columns of an action: one for each discrete action, or one for each number of a box. What it
    samples has one column more, the weight of each decision (`app.learn.policies`), which is 0 in padding.
    """

    @property
    def actions(self) -> Actions:
        """What an action is."""


@runtime_checkable
class HasWeighing(Protocol):
    """A family of decisions that says how they are weighed; others take the defaults of `Weighing`."""

    @property
    def weighing(self) -> Weighing:
        """How much each decision counts, given its reward."""


@runtime_checkable
class HasCaveat(Protocol):
    """A family whose evaluations need a word of caution, such as that its test split is small."""

    @property
    def caveat(self) -> str:
        """A sentence for the protocol of its evaluations."""


def in_turn(inputs: Float[Tensor, "task way each feature"]) -> Samples:
    """The examples of classification tasks as `Samples` has them: their classes take turns."""
    tasks, ways, each, features = inputs.shape
    targets = torch.eye(ways, device=inputs.device).repeat(each, 1).expand(tasks, -1, -1)
    return Samples(inputs.transpose(1, 2).reshape(tasks, each * ways, features), targets)


def uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    """Numbers from U[low, high), on the generator's device."""
    unit = torch.rand(shape, generator=generator, device=generator.device)
    return low + (high - low) * unit
