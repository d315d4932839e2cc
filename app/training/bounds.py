"""What a request may ask of the inner loop: how many steps, and at what rate, adapting still helps."""

from collections.abc import Callable, Sequence

from app.families.family import Family
from app.training.evaluation import IMAGE, Curve

STEPS = (*range(21), 25, 30, 40, 50, 75, 100)
"""The bound on the steps of a request is looked for among these, and the default."""
RAISE = 1.25
"""The bound on the rate is looked for by factors of this."""

SEED = 20171211
"""Of the validation tasks that bounds are found on."""
TASKS, TASKS_OF_IMAGES = 600, 20
"""In each setting; a task of images takes a thousand times as long."""

Better = Callable[[float, float], bool]
"""(one score, another) -> whether the one is better."""


def tasks_for(family: Family) -> int:
    """Validation tasks of a setting to find bounds on."""
    return TASKS if family.features < IMAGE else TASKS_OF_IMAGES


def largest_steps(curves: Sequence[Curve], steps: Sequence[int], default: int, better: Better) -> int:
    """The largest of the numbers of steps that scores no worse than the default, in every setting.

    curves: with a score for each of `steps`, among which the default is
    """
    usual = steps.index(default)
    return max(
        count
        for place, count in enumerate(steps)
        if not any(better(each.mean[usual], each.mean[place]) for each in curves)
    )


def largest_rate(default: float, curves: Callable[[float], Sequence[Curve]], better: Better) -> float:
    """The largest rate up to which adapting still helps, in every setting, in quarters of itself upward.

    curves: the scores at a rate; it helps where its last step is better than none
    """
    rate = default
    while rate < 1000 * default and all(better(each.mean[-1], each.mean[0]) for each in curves(RAISE * rate)):
        rate *= RAISE
    return float(f"{rate:.2g}") if rate > default else default
