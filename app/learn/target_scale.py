"""Targets in the user's units, around a network that works in standardised ones.

The network predicts z = (y - mean) / std, with the mean and the standard deviation of the targets of training tasks.
`with_target_scale` puts this around an inner loop: the targets that come in and the predictions, variances and losses
that go out are in the user's units. The steps themselves descend the loss of the standardised targets, so that the rate
and the fast weights do not depend on the units.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from app.errors import exact, expectation
from app.learn.example_weights import Mask
from app.learn.inner import Examples, InnerLoop, State
from app.learn.losses import Loss
from app.learn.shape_annotations import Float
from app.learn.update_rules import Params

MIN_STD, MAX_STD = 1e-18, 1e18
"""float32 holds the squares of these and of all between them, as variances and losses are scaled by the square."""

MAX_MEAN = torch.finfo(torch.float32).max


@dataclass(frozen=True)
class TargetScale:
    """The mean and the standard deviation of each number of a target, in the user's units."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def errors(self, targets: int) -> Iterator[str]:
        """What is wrong with the scale of targets of that length (`expectation`)."""
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if len(numbers) != targets:
                yield expectation(f"targets.scale.{name}", f"a number for each target ({targets})", list(numbers))
        for index, mean in enumerate(self.mean):
            if abs(mean) > MAX_MEAN:
                yield expectation(f"targets.scale.mean[{index}]", "a number in the range of float32", exact(mean))
        for index, std in enumerate(self.std):
            if not MIN_STD <= std <= MAX_STD:
                yield expectation(f"targets.scale.std[{index}]", f"{MIN_STD:g} to {MAX_STD:g}", exact(std))

    @property
    def common_std(self) -> float | None:
        """The standard deviation, if all targets have the same one."""
        return self.std[0] if len(set(self.std)) == 1 else None

    def standardise(self, targets: Float[Tensor, "*row target"]) -> Float[Tensor, "*row target"]:
        """From the user's units to those of the network."""
        return (targets - _row(self.mean, targets)) / _row(self.std, targets)

    def restore(self, outputs: Float[Tensor, "*row target"]) -> Float[Tensor, "*row target"]:
        """From the units of the network to the user's."""
        return outputs * _row(self.std, outputs) + _row(self.mean, outputs)

    def restore_variance(self, variance: Float[Tensor, "*row target"]) -> Float[Tensor, "*row target"]:
        """The variance in the squares of the user's units."""
        return variance * _row([std * std for std in self.std], variance)

    def standardise_examples(self, examples: Examples) -> Examples:
        """Examples with their targets in the units of the network."""
        return examples._replace(targets=self.standardise(examples.targets))

    def loss(self, loss: Loss) -> Loss:
        """A loss that does not change if the same number is added to outputs and targets, in the user's units.

        It takes outputs and targets in the units of the network. The means are left out, as the difference of two large
        numbers would lose digits.
        """

        def in_units(outputs: Tensor, targets: Tensor, mask: Mask) -> Tensor:
            std = _row(self.std, outputs)
            return loss(outputs * std, targets * std, mask)

        return in_units


@dataclass(frozen=True)
class TargetSpec:
    """What the numbers of a target mean, for regression. A tuple is empty where that is not known.

    names, units: of each number; a unit may be an empty string
    low, high: the smallest and the largest of each number in training tasks, in its unit
    scale: what the network's targets were standardised by; None if it predicts in the user's units itself
    """

    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    scale: TargetScale | None = None

    def describe(self, targets: int) -> list[dict[str, Any]]:
        """The columns of targets of that length as plain JSON values, as in `Encoder.describe`."""
        names, units = ([value or None for value in part] or [None] * targets for part in (self.names, self.units))
        ranges: Sequence[dict[str, float]] = [
            {"min": low, "max": high} for low, high in zip(self.low, self.high, strict=True)
        ] or [{}] * targets
        columns = zip(names, units, ranges, strict=True)
        return [{"name": name, "type": "number", "unit": unit, **limits} for name, unit, limits in columns]

    def errors(self, targets: int) -> Iterator[str]:
        """What is wrong with the description of targets of that length (`expectation`)."""
        for field in ("names", "units", "low", "high"):
            values = getattr(self, field)
            if values and len(values) != targets:
                yield expectation(f"targets.{field}", f"one for each target ({targets}), or none", list(values))
        if len(set(self.names)) < len(self.names) or "" in self.names:
            yield expectation("targets.names", "different names, none of them empty", list(self.names))
        if len(self.low) != len(self.high) or any(low > high for low, high in zip(self.low, self.high, strict=False)):
            bounds = f"{list(self.low)} and {list(self.high)}"
            yield expectation("targets.low", "numbers that are at most those in targets.high", bounds)
        if self.scale is not None:
            yield from self.scale.errors(targets)


def _row(numbers: Sequence[float], like: Tensor) -> Tensor | float:
    """The numbers as a row, with the type and on the device of a tensor; a single one as it is."""
    if len(numbers) == 1:
        return numbers[0]
    # not `new_tensor`: compiled code would take each such constant as one more argument
    return torch.cat([torch.full((1,), number, dtype=like.dtype, device=like.device) for number in numbers])


def with_target_scale(make: Callable[[Loss], InnerLoop[State]], loss: Loss, scale: TargetScale) -> InnerLoop[State]:
    """An inner loop whose targets, predictions, variances and losses are in the user's units.

    make: a loss -> the inner loop that descends it, in the units of the network
    loss: a mean of squares
    """
    inner, reported = make(loss), make(scale.loss(loss))

    def step(meta: Params, state: State, support: Examples, rate: Tensor, active: Tensor) -> tuple[State, Tensor]:
        standardised = scale.standardise_examples(support)
        after, value = inner.step(meta, state, standardised, rate, active)
        if scale.common_std is None:
            # one more pass through the network, which compiled code shares with that of the step
            return after, reported.loss(meta, state, standardised)
        return after, value * scale.common_std**2

    def current_loss(meta: Params, state: State, support: Examples) -> Tensor:
        return reported.loss(meta, state, scale.standardise_examples(support))

    def apply(meta: Params, state: State, inputs: Tensor) -> Tensor:
        return scale.restore(inner.apply(meta, state, inputs))

    def prepare(meta: Params, state: State, support: Examples) -> State:
        assert inner.prepare is not None
        return inner.prepare(meta, state, scale.standardise_examples(support))

    def variance(meta: Params, state: State, inputs: Tensor) -> Tensor:
        assert inner.variance is not None
        return scale.restore_variance(inner.variance(meta, state, inputs))

    return InnerLoop(inner.init, step, current_loss, apply, inner.prepare and prepare, inner.variance and variance)
