"""The calibration of a bundle: a table of the widths of intervals, and what probabilities and `query_ood` need."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from math import inf, log

import torch
from torch import Tensor

from app.errors import exact
from app.learn.shape_annotations import Float
from app.learn.width_interpolation import interpolate_stretch, interpolate_width

FALSE_ALARM_RATE = 0.02
"""The share of the queries of validation tasks that are flagged as unlike the support set."""


@dataclass(frozen=True)
class Calibration:
    """The calibration of a bundle on validation tasks; empty if `tasks` is 0.

    tasks, seed: the number of tasks for each number of shots, and the seed that they were drawn with; they were adapted
        to with the bundle's default steps and rate
    shots: the numbers of support examples that are calibrated (for classification: examples per class), ascending; 0
        is the initialization
    levels: the levels of intervals, for regression, between 0 and 1, ascending
    half_widths: [shots][target][level], the half widths of the intervals, where `stretch` is 1
    temperature: logits are divided by it before the softmax
    familiarity: [shots], for classification; 1 - FALSE_ALARM_RATE of the queries whose class is in the support set have
        a largest logit, before the temperature, of at least this
    distances: [shots][knot], for regression; how far queries were from the nearest support example
        (`app.learn.query_ood.nearest_distances`), from the nearest query to that which FALSE_ALARM_RATE of them exceed.
        No knots for 0 shots. None if it was not measured
    stretch: [shots][target][knot], by what intervals are multiplied at these distances
    similarity: [shots], for texts instead of `familiarity`; the queries whose class is in the support set are mostly at
        least as alike (`app.learn.query_ood.largest_cosines`). Shots count the name of a class, where it is an example
    relative: whether half widths are in standard deviations of the prediction, which the algorithm gives; None for no
    """

    tasks: int = 0
    seed: int = 0
    shots: tuple[int, ...] = ()
    levels: tuple[float, ...] = ()
    half_widths: tuple[tuple[tuple[float, ...], ...], ...] = ()
    temperature: float = 1.0
    familiarity: tuple[float, ...] = ()
    distances: tuple[tuple[float, ...], ...] | None = field(default=None, metadata={"optional": True})
    stretch: tuple[tuple[tuple[float, ...], ...], ...] | None = field(default=None, metadata={"optional": True})
    similarity: tuple[float, ...] | None = field(default=None, metadata={"optional": True})
    relative: bool | None = field(default=None, metadata={"optional": True})

    def fits(self, targets: int) -> bool:
        """Whether the lists fit each other and targets of that length, or the calibration is empty."""
        if self.tasks == 0:
            return self == Calibration()
        by_target = [levels for shots in self.half_widths for levels in shots]
        return (
            len(self.shots) > 0
            and _ascending(self.shots)
            and self.shots[0] >= (1 if self.familiarity else 0)  # without support examples there are no classes
            and _ascending(self.levels)
            and all(0 < level < 1 for level in self.levels)
            and len(self.half_widths) in (0, len(self.shots))
            and all(len(shots) == targets for shots in self.half_widths)
            and all(len(levels) == len(self.levels) > 0 and min(levels) >= 0 for levels in by_target)
            and self.temperature > 0
            and len(self.familiarity) in (0, len(self.shots))
            and (self.similarity is None or (len(self.similarity) == len(self.shots) and self.shots[0] >= 1))
            and self._distances_fit(targets)
        )

    def _distances_fit(self, targets: int) -> bool:
        if self.distances is None or self.stretch is None:
            return self.distances is None and self.stretch is None
        if not len(self.distances) == len(self.stretch) == len(self.half_widths):
            return False
        return all(
            (len(knots) > 1 if shots else not knots)
            and list(knots) == sorted(knots)
            and min(knots, default=0) >= 0
            and len(by_target) == targets
            and all(len(factors) == len(knots) and min(factors, default=1) > 0 for factors in by_target)
            and all(list(factors) == sorted(factors) for factors in by_target)
            for shots, knots, by_target in zip(self.shots, self.distances, self.stretch, strict=True)
        )

    @property
    def has_intervals(self) -> bool:
        """Whether `widths_for` can be called, for levels from the first of `levels` to the last."""
        return len(self.half_widths) > 0

    @property
    def has_familiarity(self) -> bool:
        """Whether there is a threshold for queries (`app.learn.query_ood`)."""
        return len(self.familiarity) > 0

    @property
    def has_similarity(self) -> bool:
        """Whether there is a threshold for the similarity of queries (`app.learn.query_ood`)."""
        return self.similarity is not None

    def widths_for(self, level: float, shots: int | float) -> tuple[float, ...]:
        """For each target, the half width of the interval that covers a share `level` of the queries.

        shots: the number of support examples, or the sum of their weights

        Between two calibrated levels the half width is interpolated linearly; between two numbers of shots in the
        logarithm of both, as errors fall by powers (from 0 shots on, in the logarithm of 1 more). Outside the
        calibrated shots it is that of the nearest number.
        Raises ValueError for a level outside `levels`.
        """
        if not self.levels[0] <= level <= self.levels[-1]:
            least, most = exact(self.levels[0]), exact(self.levels[-1])
            raise ValueError(f"the level must be from {least} to {most}, got {exact(level)}")
        smaller, larger, fraction = self.neighbours(shots)
        widths = zip(self.half_widths[smaller], self.half_widths[larger], strict=True)
        return tuple(
            interpolate_width(self._width_at(level, first), self._width_at(level, second), fraction)
            for first, second in widths
        )

    @property
    def has_distances(self) -> bool:
        """Whether `largest_distance` and `stretch_for` can be called."""
        return self.distances is not None

    def largest_distance(self, shots: int | float) -> float:
        """The distance from the nearest support example beyond which a query counts as unlike the support set.

        Arguments and the numbers between are as for `widths_for`. It is infinite for fewer shots than were calibrated.
        """
        limits = self._limits_of_whole_numbers
        if isinstance(shots, int) and shots < len(limits):
            return limits[shots]
        return self._interpolated_limit(shots)

    @cached_property
    def _limits_of_whole_numbers(self) -> tuple[float, ...]:
        """Those of 0, 1, 2... shots: each prediction needs one."""
        return tuple(self._interpolated_limit(shots) for shots in range(min(self.shots[-1], 100) + 1))

    def _interpolated_limit(self, shots: int | float) -> float:
        assert self.distances is not None, "it has distances"
        smaller, larger, fraction = self.neighbours(shots)
        if not self.distances[smaller]:
            return inf
        return interpolate_width(self.distances[smaller][-1], self.distances[larger][-1], fraction)

    def stretch_for(self, shots: int | float, distances: Float[Tensor, "*query"]) -> Float[Tensor, "*query target"]:
        """By what the half widths of `widths_for` are multiplied, float64.

        distances: those of the queries from the nearest support example

        Between two knots, and between two numbers of shots, it is interpolated linearly; beyond the last knot it is
        that of the last one. It is 1 for 0 shots.
        """
        assert self.distances is not None, "it has distances"
        smaller, larger, fraction = self.neighbours(shots)
        return torch.lerp(self._stretch_at(smaller, distances), self._stretch_at(larger, distances), fraction)

    def _stretch_at(self, index: int, distances: Tensor) -> Tensor:
        """That of the shots with this index."""
        assert self.distances is not None, "it has distances"
        assert self.stretch is not None, "it has distances"
        return interpolate_stretch(self.distances[index], self.stretch[index], distances)

    def neighbours(self, shots: int | float) -> tuple[int, int, float]:
        """The indices of the calibrated numbers around `shots`, and the fraction of the way from first to second."""
        at = bisect_left(self.shots, shots)
        nearest = min(at, len(self.shots) - 1)
        if at in (0, len(self.shots)) or self.shots[nearest] == shots:
            return nearest, nearest, 0.0
        low, high = self.shots[at - 1], self.shots[at]
        more = 0 if low > 0 else 1
        return at - 1, at, log((shots + more) / (low + more)) / log((high + more) / (low + more))

    def _width_at(self, level: float, widths: Sequence[float]) -> float:
        """The width at a level, interpolated between the calibrated levels. widths: one for each of `levels`."""
        at = bisect_left(self.levels, level)
        if self.levels[at] == level:
            return widths[at]
        low, high = self.levels[at - 1], self.levels[at]
        return widths[at - 1] + (level - low) / (high - low) * (widths[at] - widths[at - 1])


def _ascending(numbers: Sequence[int] | Sequence[float]) -> bool:
    return all(first < second for first, second in pairwise(numbers))
