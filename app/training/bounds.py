"""What a request may ask of the inner loop: how many steps, and at what rate, adapting still helps."""

from collections.abc import Callable, Sequence

from app.training.evaluation import Curve

MOST_STEPS = 100
"""The bound on the steps of a request is looked for up to here."""
RAISE = 1.25
"""The bound on the rate is looked for by factors of this."""

Better = Callable[[float, float], bool]
"""(one score, another) -> whether the one is better."""


def largest_steps(curves: Sequence[Curve], default: int, better: Better) -> int:
    """The largest number of steps that scores no worse than the default's, in every setting."""
    return max(
        steps
        for steps in range(len(curves[0].mean))
        if not any(better(each.mean[default], each.mean[steps]) for each in curves)
    )


def largest_rate(default: float, curves: Callable[[float], Sequence[Curve]], better: Better) -> float:
    """The largest rate up to which adapting still helps, in every setting, in quarters of itself upward.

    curves: the scores at a rate; it helps where its last step is better than none
    """
    rate = default
    while rate < 1000 * default and all(better(each.mean[-1], each.mean[0]) for each in curves(RAISE * rate)):
        rate *= RAISE
    return float(f"{rate:.2g}") if rate > default else default
