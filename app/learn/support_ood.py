"""Out-of-distribution detection: compare a support set with those of training tasks."""

from bisect import bisect_right
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

import torch
from torch import Tensor

from app.learn.shape_annotations import Bool, Float

ERROR_QUANTILE = 0.98
"""The share of training tasks whose error is below the limit. A support set with a larger error is unlike them."""
MAX_FAR_SHARE = 0.01
"""The share of a support set's inputs that may lie beyond all inputs of training, or be images unlike those.

Below 100 examples any single one counts; among thousands some lie beyond by chance.
"""
BOUNDS_MARGIN = 0.01
"""By this part of its range, a feature of a query may lie beyond the inputs of training."""
MAX_ERROR = torch.finfo(torch.float32).max
"""Replaces an error that is not finite, or unknown because the inner loop diverged."""


class OODStatus(Enum):
    """The result of the comparison, with a sentence for the user."""

    unknown = ""
    like = "The support set looks like what the model was trained on."
    far_inputs = (
        "The support set is unlike what the model was trained on: some inputs lie outside of the range of training."
    )
    large_error = (
        "The support set is unlike what the model was trained on: the error on examples left out is larger than in "
        f"{ERROR_QUANTILE * 100:.0f} % of training tasks."
    )
    like_images = "The support set has images like those that the model was trained on."
    unlike_images = (
        "The support set is unlike what the model was trained on: some images do not look like those of training."
    )

    @property
    def unlike_training(self) -> bool | None:
        """Whether the support set is unlike those of training; None if that is unknown."""
        return None if self is OODStatus.unknown else self not in (OODStatus.like, OODStatus.like_images)


@dataclass(frozen=True)
class OODReference:
    """Statistics of the support sets of training tasks, or of a policy's observations; empty if `tasks` is 0.

    tasks, seed: the number of tasks of each support size, and the seed that they were drawn with
    input_center, input_scale: for each feature; a feature that does not vary has the scale 1
    input_reach: the largest `distance` of an input of these tasks
    input_low, input_high: the smallest and the largest value of each feature in these tasks; None in older references
    support_sizes: the numbers of support examples that tasks were drawn with, ascending; none for a policy
    error_limits: for each of these sizes, the ERROR_QUANTILE of the tasks' errors (`task_error`) on examples left out,
        each predicted after adapting to that number of others with the bundle's default steps and rate
    """

    tasks: int = 0
    seed: int = 0
    input_center: tuple[float, ...] = ()
    input_scale: tuple[float, ...] = ()
    input_reach: float = 0.0
    support_sizes: tuple[int, ...] = ()
    error_limits: tuple[float, ...] = ()
    input_low: tuple[float, ...] | None = field(default=None, metadata={"optional": True})
    input_high: tuple[float, ...] | None = field(default=None, metadata={"optional": True})

    def fits(self, features: int) -> bool:
        """Whether the lists fit each other and inputs of that length, or the reference is empty."""
        if self.tasks == 0:
            return self == OODReference()
        ascending = sorted(set(self.support_sizes)) == list(self.support_sizes)
        return (
            len(self.input_center) == len(self.input_scale) == features
            and min(self.input_scale) > 0
            and len(self.error_limits) == len(self.support_sizes)
            and ascending
            and (self.input_low is None) == (self.input_high is None)
            and all(ends is None or len(ends) == features for ends in (self.input_low, self.input_high))
        )

    def compare(
        self,
        inputs: Float[Tensor, "example feature"],
        errors: Float[Tensor, " example"],
        adapted_to: int | float,
        weights: Float[Tensor, " example"] | None = None,
    ) -> OODStatus:
        """Compare a support set with those of training.

        errors: the errors on its examples, each predicted after adapting to `adapted_to` others, as for `error_limits`
        weights: how often each example counts; None for once

        Errors shrink with more examples. A size between two of `support_sizes` is compared with the smaller one, and a
        size above all with the largest, which flags too few support sets rather than too many.
        """
        if not self.tasks:
            return OODStatus.unknown
        if self.has_far_inputs(inputs, weights):
            return OODStatus.far_inputs
        smaller = bisect_right(self.support_sizes, adapted_to) - 1
        if smaller >= 0 and task_error(errors, weights).item() > self.error_limits[smaller]:
            return OODStatus.large_error
        return OODStatus.like

    def has_far_inputs(
        self, inputs: Float[Tensor, "example feature"], weights: Float[Tensor, " example"] | None = None
    ) -> bool:
        """Whether more than MAX_FAR_SHARE of a support set's inputs are `is_beyond`."""
        return bool(_mean(self.is_beyond(inputs).double(), weights) > MAX_FAR_SHARE)

    @cached_property
    def input_bounds(self) -> tuple[tuple[float, float], ...]:
        """For each feature, the smallest and the largest value of a query that is not beyond training's inputs.

        They lie a little outside of those: the end of a range is rarely among the inputs that were drawn from it.
        """
        return tuple(
            (low - BOUNDS_MARGIN * (high - low), high + BOUNDS_MARGIN * (high - low)) for low, high in self.input_range
        )

    @classmethod
    def of(
        cls,
        inputs: Float[Tensor, "row feature"],
        tasks: int,
        seed: int,
        support_sizes: tuple[int, ...] = (),
        error_limits: tuple[float, ...] = (),
    ) -> "OODReference":
        """The reference of all inputs of these tasks. Other arguments are the fields of that name."""
        rows = inputs.double()
        center, scale = rows.mean(0), rows.std(0)
        scale = torch.where(scale > 0, scale, 1.0)
        return cls(
            tasks=tasks,
            seed=seed,
            input_center=tuple(center.tolist()),
            input_scale=tuple(scale.tolist()),
            input_reach=distance(rows, center, scale).max().item(),
            support_sizes=support_sizes,
            error_limits=error_limits,
            input_low=tuple(rows.amin(0).tolist()),
            input_high=tuple(rows.amax(0).tolist()),
        )

    @property
    def input_range(self) -> tuple[tuple[float, float], ...]:
        """For each feature, the smallest and the largest value in training, as far as the reference tells."""
        if self.input_low is None or self.input_high is None:
            spreads = zip(self.input_center, [self.input_reach * scale for scale in self.input_scale], strict=True)
            return tuple((center - spread, center + spread) for center, spread in spreads)
        return tuple(zip(self.input_low, self.input_high, strict=True))

    def is_beyond(self, inputs: Float[Tensor, "*query feature"]) -> Bool[Tensor, "*query"]:
        """Which queries have a feature outside of `input_bounds`."""
        low, high = inputs.new_tensor(self.input_bounds, dtype=torch.float64).unbind(-1)
        return ((inputs < low) | (inputs > high)).any(-1)


def compare_images(unlike: Bool[Tensor, " example"], weights: Float[Tensor, " example"] | None = None) -> OODStatus:
    """Compare the images of a support set with those of training.

    unlike: which of them are unlike those of training
    weights: how often each example counts; None for once
    """
    return OODStatus.unlike_images if _mean(unlike.double(), weights) > MAX_FAR_SHARE else OODStatus.like_images


def distance(
    inputs: Float[Tensor, "example feature"], center: Float[Tensor, " feature"], scale: Float[Tensor, " feature"]
) -> Float[Tensor, " example"]:
    """The distance of each input from the center: that of its furthest feature, in units of the feature's scale."""
    return ((inputs - center) / scale).abs().amax(-1)


def task_error(
    errors: Float[Tensor, "*task example"], weights: Float[Tensor, " example"] | None = None
) -> Float[Tensor, "*task"]:
    """The mean error over a task's examples. Errors that are not finite count as MAX_ERROR, so the mean is finite."""
    return _mean(errors.double().nan_to_num(nan=MAX_ERROR, posinf=MAX_ERROR).clamp(max=MAX_ERROR), weights)


def _mean(values: Float[Tensor, "*task example"], weights: Float[Tensor, " example"] | None) -> Float[Tensor, "*task"]:
    """The mean over the examples, by their weights."""
    return values.mean(-1) if weights is None else values @ (weights.to(values) / weights.to(values).sum())
