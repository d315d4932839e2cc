"""How far an answer can be trusted, as validation tasks showed: intervals, probabilities, what is unfamiliar."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, log

FALSE_ALARM_RATE = 0.02
"""So many queries of classes that are in the support set are called unlike all of it."""


@dataclass(frozen=True)
class Calibration:
    """What validation tasks taught; without tasks, nothing is known.

    tasks, seed: it was made from so many tasks of each number of shots, drawn with that seed, adapted with the
        bundle's default steps and rate
    shots: numbers of support examples (classification: of each class), ascending; what follows is known for each
    levels: of intervals for regression, between 0 and 1, ascending
    half_widths: [shots][target][level]; so many queries lie no further than this from what is predicted for them
    temperature: logits are divided by it before they become probabilities
    familiarity: [shots], for classification; all but FALSE_ALARM_RATE of the queries whose class is in the support set have a
        largest logit, before the temperature, of at least this
    """

    tasks: int = 0
    seed: int = 0
    shots: tuple[int, ...] = ()
    levels: tuple[float, ...] = ()
    half_widths: tuple[tuple[tuple[float, ...], ...], ...] = ()
    temperature: float = 1.0
    familiarity: tuple[float, ...] = ()

    def fits(self, targets: int) -> bool:
        """Whether it can be used: its lists fit each other and so many targets, or it is empty."""
        if self.tasks == 0:
            return self == Calibration()
        by_target = [levels for shots in self.half_widths for levels in shots]
        return (
            len(self.shots) > 0
            and _ascending(self.shots)
            and self.shots[0] > 0
            and _ascending(self.levels)
            and all(0 < level < 1 for level in self.levels)
            and len(self.half_widths) in (0, len(self.shots))
            and all(len(shots) == targets for shots in self.half_widths)
            and all(len(levels) == len(self.levels) > 0 and min(levels) >= 0 for levels in by_target)
            and self.temperature > 0
            and len(self.familiarity) in (0, len(self.shots))
        )

    @property
    def has_intervals(self) -> bool:
        """Whether `interval` can be asked, for levels from the first of `levels` to the last."""
        return len(self.half_widths) > 0

    @property
    def has_familiarity(self) -> bool:
        """Whether `familiarity_threshold` can be asked."""
        return len(self.familiarity) > 0

    def interval(self, level: float, shots: int | float) -> tuple[float, ...]:
        """The half width of the interval of each target that covers a share of `level` of queries.

        Between two numbers of shots and between two levels it is interpolated, the widths by the logarithm of the
        shots and of themselves (errors fall by powers); outside of the known shots it is the nearest one's. Raises
        ValueError for a level outside of `levels`.
        """
        if not self.levels[0] <= level <= self.levels[-1]:
            raise ValueError(f"a level from {self.levels[0]:g} to {self.levels[-1]:g} expected, got {level:g}")
        smaller, larger, part = self._between(shots)
        widths = zip(self.half_widths[smaller], self.half_widths[larger], strict=True)
        return tuple(_geometric(self._at(level, less), self._at(level, more), part) for less, more in widths)

    def familiarity_threshold(self, shots: int | float) -> float:
        """A query whose largest logit is below this is unlike anything in the support set.

        shots: support examples a class; between two known numbers it is interpolated, as by `interval`
        """
        smaller, larger, part = self._between(shots)
        return (1 - part) * self.familiarity[smaller] + part * self.familiarity[larger]

    def _between(self, shots: int | float) -> tuple[int, int, float]:
        """The places of the known numbers around `shots`, and how far it is from the first to the second."""
        at = bisect_left(self.shots, shots)
        nearest = min(at, len(self.shots) - 1)
        if at in (0, len(self.shots)) or self.shots[nearest] == shots:
            return nearest, nearest, 0.0
        low, high = self.shots[at - 1], self.shots[at]
        return at - 1, at, log(shots / low) / log(high / low)

    def _at(self, level: float, widths: Sequence[float]) -> float:
        """The width at a level between the known ones."""
        at = bisect_left(self.levels, level)
        if self.levels[at] == level:
            return widths[at]
        low, high = self.levels[at - 1], self.levels[at]
        return widths[at - 1] + (level - low) / (high - low) * (widths[at] - widths[at - 1])


def _geometric(one: float, two: float, part: float) -> float:
    """So far on the way from one width to another, by their logarithms where there are any."""
    if part == 0 or min(one, two) <= 0:
        return (1 - part) * one + part * two
    return exp((1 - part) * log(one) + part * log(two))


def _ascending(numbers: Sequence[int] | Sequence[float]) -> bool:
    return all(one < two for one, two in pairwise(numbers))
