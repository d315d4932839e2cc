"""Losses as commands print them."""

import math
from collections.abc import Sequence

LARGE, MAX_DIGITS = 1000, 8
"""A loss from LARGE on is printed as a whole number, one with more than MAX_DIGITS decimals as a power of ten."""


def number_text(value: float | None) -> str:
    """A loss with three digits, small or large: `0.0000123`, `0.286`, `12,346`. None is not finite."""
    if value is None:
        return "nan"
    if abs(value) >= LARGE or value == 0:
        return f"{value:,.0f}"
    digits = 2 - math.floor(math.log10(abs(value))) if math.isfinite(value) else 0
    return f"{value:.{max(digits, 0)}f}" if digits <= MAX_DIGITS else f"{value:.3g}"


def losses_text(losses: Sequence[float | None]) -> str:
    """The first loss and the last: `12.1 before the first step, 0.0007 after 5`."""
    first = f"{number_text(losses[0])} before the first step"
    return first if len(losses) == 1 else f"{first}, {number_text(losses[-1])} after {len(losses) - 1}"
