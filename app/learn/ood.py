"""Is a support set unlike what a model was trained on? Held against support sets of training tasks."""

from bisect import bisect_right
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from app.learn.shapes import Bool, Float

ERROR_QUANTILE = 0.98
"""So many training tasks have a smaller error than the one from which on a support set is unlike."""
MAX_FAR_SHARE = 0.01
"""Of a support set's inputs may lie beyond those of training. So any single one counts below 100 examples, while among
thousands some do by chance."""
MAX_ERROR = torch.finfo(torch.float32).max
"""Stands for an error that is not finite, or not known because the inner loop diverged."""


class OODStatus(Enum):
    """What came of the comparison, with the sentence that a user reads."""

    unknown = ""
    like = "The support set looks like what the model was trained on."
    far_inputs = "The support set is unlike what the model was trained on: inputs lie beyond those of training."
    large_error = (
        "The support set is unlike what the model was trained on: the error on examples left out is larger than in "
        f"{ERROR_QUANTILE:.0%} of training tasks."
    )

    @property
    def unlike(self) -> bool | None:
        """Whether it is unlike; None where nothing is known."""
        return None if self is OODStatus.unknown else self is not OODStatus.like


@dataclass(frozen=True)
class OODReference:
    """What support sets of training tasks look like; without tasks, nothing is known.

    tasks, seed: it was made from so many tasks of each size, drawn with that seed
    input_center, input_scale: of each feature; a feature that does not vary has the scale 1
    input_reach: the furthest that an input lay from the center, by its furthest feature, in scales
    support_sizes: numbers of examples, ascending
    error_limits: for each size, what ERROR_QUANTILE of the tasks stay below: `task_error` of the examples left out, each
        predicted after adapting to so many others with the bundle's default steps and rate
    """

    tasks: int = 0
    seed: int = 0
    input_center: tuple[float, ...] = ()
    input_scale: tuple[float, ...] = ()
    input_reach: float = 0.0
    support_sizes: tuple[int, ...] = ()
    error_limits: tuple[float, ...] = ()

    def fits(self, features: int) -> bool:
        """Whether it can be used: its lists fit each other and inputs of so many features, or it is empty."""
        if self.tasks == 0:
            return self == OODReference()
        ascending = sorted(set(self.support_sizes)) == list(self.support_sizes)
        return (
            len(self.input_center) == len(self.input_scale) == features
            and min(self.input_scale) > 0
            and len(self.error_limits) == len(self.support_sizes) > 0
            and ascending
        )

    def compare(
        self, inputs: Float[Tensor, "example feature"], errors: Float[Tensor, " left_out"], adapted_to: int
    ) -> OODStatus:
        """Hold a support set against these.

        errors: of its examples (those that can be left out), each predicted after adapting to `adapted_to` others, as
            for `error_limits`

        Errors shrink with more examples. So a number in between is held against the next smaller one, and one above
        all against the largest: that flags rather too few.
        """
        if not self.tasks:
            return OODStatus.unknown
        if self.is_far(inputs).double().mean() > MAX_FAR_SHARE:
            return OODStatus.far_inputs
        smaller = bisect_right(self.support_sizes, adapted_to) - 1
        if smaller >= 0 and task_error(errors).item() > self.error_limits[smaller]:
            return OODStatus.large_error
        return OODStatus.like

    def is_far(self, inputs: Float[Tensor, "example feature"]) -> Bool[Tensor, " example"]:
        """Which inputs lie beyond all of training's."""
        center, scale = inputs.new_tensor(self.input_center), inputs.new_tensor(self.input_scale)
        return distance(inputs, center, scale) > self.input_reach


def distance(
    inputs: Float[Tensor, "example feature"], center: Float[Tensor, " feature"], scale: Float[Tensor, " feature"]
) -> Float[Tensor, " example"]:
    """How far each input lies from the center, by its furthest feature, in scales."""
    return ((inputs - center) / scale).abs().amax(-1)


def task_error(errors: Float[Tensor, "*task example"]) -> Float[Tensor, "*task"]:
    """The mean over a task's examples; one that is not finite counts as MAX_ERROR, so that the mean is finite."""
    return errors.double().nan_to_num(nan=MAX_ERROR, posinf=MAX_ERROR).clamp(max=MAX_ERROR).mean(-1)
