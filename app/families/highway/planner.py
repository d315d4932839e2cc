"""A driver by rule: the intelligent driver model and MOBIL, read off the observation and told as manoeuvres."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.families.highway.observation import FARTHEST, FASTER, FASTEST
from app.families.highway.world import BRAKING, World

LEFT, KEEP, RIGHT, FASTER_ON, SLOWER = range(5)
SPEED_UP, STANDSTILL, HARD = 3.0, 5.0, -2.0
"""Of the model: m/s^2, m, and m/s^2 of who brakes so hard that another lane has to wait."""


@dataclass(frozen=True)
class Style:
    """How a planner drives.

    speed: that it would like to drive at, in m/s; gap: the time in seconds that it keeps to who is before it
    eagerness: m/s^2 that another lane has to be better by, as MOBIL counts, before it changes: less is more eager
    braking: m/s^2 that it counts on
    """

    speed: float
    gap: float
    eagerness: float
    braking: float


FASTEST_STYLE = 30.0
REACTION, MARGIN, FIRM = 1.5, 0.9, 5.0
"""Seconds until brakes work, the part of what they can do that is counted on, and m/s^2 that are enough."""


def at_home(world: World) -> Style:
    """How somebody drives who knows the world: slow enough to stop within sight on its grip, and as far behind others.

    The speed v solves v * REACTION + v^2 / (2 a) = sight - STANDSTILL, where a is what brakes can be counted on for.
    """
    braking = min(MARGIN * world.grip * BRAKING, FIRM)
    speed = braking * (np.sqrt(REACTION**2 + 2 * (world.sight - STANDSTILL) / braking) - REACTION)
    return Style(float(min(speed, FASTEST_STYLE)), 1.0 + 0.3 / world.grip, 1.3 - world.grip, braking)


ORDINARY = Style(20.0, 1.5, 0.7, 3.0)
"""Of somebody who drives everywhere alike."""


def plan(observation: NDArray[np.float32], style: Style) -> int:
    """The action of a driver of that style.

    Treiber et al. 2000, "Congested traffic states in empirical observations and microscopic simulations"; Kesting et
    al. 2007, "General lane-changing model MOBIL for car-following models".
    """
    speed, kept = float(observation[0]) * FASTEST, float(observation[1]) * FASTEST
    lanes = observation[6:].reshape(3, 2, 2)
    own, left, right = (_acceleration(speed, lanes[place, 0], style) for place in (1, 0, 2))
    settled = abs(observation[2]) < 0.2 and own > HARD
    gains = {LEFT: left - own, RIGHT: right - own + 0.3}
    for action in sorted(gains, key=lambda each: -gains[each]):
        free = settled and observation[4 + action // 2] > 0 and _safe(speed, lanes[action, 1], style)
        if free and gains[action] > style.eagerness and (left, right)[action // 2] > -1:
            return action
    wanted = speed + own
    return FASTER_ON if wanted > kept + 2.4 else SLOWER if wanted < kept - 2.4 else KEEP


def _acceleration(speed: float, before: NDArray[np.float32], style: Style) -> float:
    """In m/s^2, by the intelligent driver model. before: closeness and speed of who is before the car."""
    free = 1 - (speed / style.speed) ** 4
    if before[0] <= 0:
        return float(SPEED_UP * max(free, -2))
    distance, slower = max((1 - before[0]) * FARTHEST, 0.5), -before[1] * FASTER
    wanted = STANDSTILL + max(speed * style.gap + speed * slower / (2 * np.sqrt(SPEED_UP * style.braking)), 0)
    return float(SPEED_UP * max(free - (wanted / distance) ** 2, -4))


def _safe(speed: float, behind: NDArray[np.float32], style: Style) -> bool:
    """Whether who is behind on another lane is far enough."""
    if behind[0] <= 0:
        return True
    distance, closing = (1 - behind[0]) * FARTHEST, max(behind[1] * FASTER, 0.0)
    return bool(distance > STANDSTILL + style.gap / 2 * closing + 0.3 * style.gap * speed)
