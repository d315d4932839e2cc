"""What a family is: a problem whose tasks share an initialization."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from app.learn.shapes import Float


class Samples(NamedTuple):
    """Labelled examples drawn from a batch of tasks, each task's independent of one another."""

    inputs: Float[Tensor, "task example feature"]
    targets: Float[Tensor, "task example target"]


@dataclass(frozen=True)
class NetworkSpec:
    """A network of `app.learn.networks` by name, with its options (plain JSON values)."""

    name: str
    options: Mapping[str, Any]


@runtime_checkable
class Family(Protocol):
    """A problem: its inputs, its network, its kind, and where its training tasks come from.

    A family is found by the name of its factory, a function or class that takes keyword options with defaults, all
    plain JSON values, and returns this (`registry`).
    """

    @property
    def kind(self) -> str:
        """What is predicted: a key of `app.learn.losses.LOSSES`."""

    @property
    def features(self) -> int:
        """Numbers in an input."""

    @property
    def targets(self) -> int:
        """Numbers in a target."""

    @property
    def network(self) -> NetworkSpec:
        """The network that fits it, unless a recipe names another."""

    def sample(self, tasks: int, examples: int, generator: torch.Generator) -> Samples:
        """Draw `tasks` fresh tasks and `examples` examples of each, on the generator's device."""


def uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    """Numbers from U[low, high), on the generator's device."""
    unit = torch.rand(shape, generator=generator, device=generator.device)
    return low + (high - low) * unit
