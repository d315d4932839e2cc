"""How the rate of the outer loop changes while training goes on."""

import math
from collections.abc import Callable

SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda progress: 1.0,
    # Loshchilov and Hutter 2017, "SGDR: Stochastic Gradient Descent with Warm Restarts", without restarts
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,
}
"""From the share of training that is done, 0 to 1, to a factor on the rate."""
