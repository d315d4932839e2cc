"""A driver by rule: the intelligent driver model and MOBIL, from observations to manoeuvres."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.families.highway.observation import FARTHEST, FASTER, FASTEST
from app.families.highway.world_parameters import BRAKING, World

LEFT, KEEP, RIGHT, FASTER_ON, SLOWER = range(5)
SPEED_UP, STANDSTILL, HARD = 3.0, 5.0, -2.0
"""Of the model: the acceleration in m/s^2, the distance at a standstill in m, and the braking in m/s^2 that is too hard
to change lanes."""


@dataclass(frozen=True)
class Style:
    """How a driver drives.

    speed: the desired speed, in m/s
    gap: the time gap to the vehicle before it, in seconds
    threshold: how much better another lane has to be by MOBIL's measure before the driver changes to it, in m/s^2
    braking: the braking that the driver counts on, in m/s^2
    """

    speed: float
    gap: float
    threshold: float
    braking: float


FASTEST_STYLE = 30.0
REACTION, MARGIN, FIRM = 1.5, 0.9, 5.0
"""Seconds until the brakes work, the share of their force that is counted on, and the m/s^2 that suffice."""


def style_at_home(world: World) -> Style:
    """The style of a driver who knows the world: slow enough to stop within sight, with a gap that fits the grip.

    The speed v solves v * REACTION + v^2 / (2 a) = sight - STANDSTILL, where a is the braking that is counted on.
    """
    braking = min(MARGIN * world.grip * BRAKING, FIRM)
    speed = braking * (np.sqrt(REACTION**2 + 2 * (world.sight - STANDSTILL) / braking) - REACTION)
    return Style(float(min(speed, FASTEST_STYLE)), 1.0 + 0.3 / world.grip, 1.3 - world.grip, braking)


ORDINARY = Style(20.0, 1.5, 0.7, 3.0)
"""The style of a driver who drives alike in all worlds."""


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
        if free and gains[action] > style.threshold and (left, right)[action // 2] > -1:
            return action
    desired = speed + own
    return FASTER_ON if desired > kept + 2.4 else SLOWER if desired < kept - 2.4 else KEEP


def _acceleration(speed: float, before: NDArray[np.float32], style: Style) -> float:
    """In m/s^2, by the intelligent driver model. before: closeness and speed of the vehicle before the car."""
    free = 1 - (speed / style.speed) ** 4
    if before[0] <= 0:
        return float(SPEED_UP * max(free, -2))
    distance, slower = max((1 - before[0]) * FARTHEST, 0.5), -before[1] * FASTER
    desired = STANDSTILL + max(speed * style.gap + speed * slower / (2 * np.sqrt(SPEED_UP * style.braking)), 0)
    return float(SPEED_UP * max(free - (desired / distance) ** 2, -4))


def _safe(speed: float, behind: NDArray[np.float32], style: Style) -> bool:
    """Whether the vehicle behind on another lane is far enough away."""
    if behind[0] <= 0:
        return True
    distance, closing = (1 - behind[0]) * FARTHEST, max(behind[1] * FASTER, 0.0)
    return bool(distance > STANDSTILL + style.gap / 2 * closing + 0.3 * style.gap * speed)
