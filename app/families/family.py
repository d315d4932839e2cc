"""What a family is: a problem whose tasks share an initialization."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

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


@dataclass(frozen=True)
class NetworkSpec:
    """A network of `app.learn.networks` by name, with its options (plain JSON values)."""

    name: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Actions:
    """What a decision is: one of so many names, or numbers (`is_box`).

    low, high: of each number, where the environment clips it; both empty where actions are names, 0, 1, ...
    """

    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    @property
    def is_box(self) -> bool:
        """Whether an action is numbers."""
        return len(self.low) > 0

    def fits(self, width: int) -> bool:
        """Whether there are bounds for so many numbers, or none."""
        if len(self.low) != len(self.high) or len(self.low) not in (0, width):
            return False
        return all(low < high for low, high in zip(self.low, self.high, strict=True))


@runtime_checkable
class Family(Protocol):
    """A problem: its inputs, its network, its kind, and where its training tasks come from.

    A family is found by the name of its factory, a function or class that takes keyword options with defaults, all
    plain JSON values, and returns this (`registry`). One that reads a data set takes `data` besides, the folder it is
    in or None: it reads when it is first sampled from, so that a bundle of the family is served without the data.
    One whose inputs are more than rows has `shape`, and `image` where images can be them (`app.bundles.Schema`).
    One whose test split is small may say so in `caveat`, a sentence that stands in the protocol of its evaluations.

    A family of decisions has `actions`, an `Actions`, and may have `weighing`, an `app.learn.policies.Weighing`. Its
    `targets` are the columns of an action, one for each that has a name or one for each number. What is sampled has a
    column more, the weight of each decision (`app.learn.policies`); 0 for a row that is only padding.
    """

    @property
    def kind(self) -> str:
        """What is predicted: a key of `app.learn.losses.LOSSES`."""

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


def in_turn(inputs: Float[Tensor, "task way each feature"]) -> Samples:
    """The examples of classification tasks as `Samples` has them: their classes take turns."""
    tasks, ways, each, features = inputs.shape
    targets = torch.eye(ways, device=inputs.device).repeat(each, 1).expand(tasks, -1, -1)
    return Samples(inputs.transpose(1, 2).reshape(tasks, each * ways, features), targets)


def uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    """Numbers from U[low, high), on the generator's device."""
    unit = torch.rand(shape, generator=generator, device=generator.device)
    return low + (high - low) * unit
