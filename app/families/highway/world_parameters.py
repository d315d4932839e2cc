"""The worlds to drive in: a road, its traffic and its weather, drawn by a seed."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from app.families.family import Split

ACTIONS = ("left", "keep", "right", "faster", "slower")
Range = tuple[float, float]
BRAKING = 8.0
"""The maximum braking and acceleration of a car on a dry road, in m/s^2."""


@dataclass(frozen=True)
class World:
    """A world. No observation shows what follows `road` and `lanes`: it has to be learned from a few episodes.

    road: `highway`, or `merge`, where a ramp comes in from the right
    lanes: of the road, without the ramp
    density: of the traffic, in highway-env's unit
    gap: the time gap of other drivers to the vehicle before them, in seconds
    boldness: how hard other drivers make the vehicle behind them brake when they change lanes, in m/s^2
    grip: of the tyres, 1 on a dry road; scales braking, acceleration and the forces that hold a car in a curve
    sight: how far a driver sees ahead and behind, in metres
    noise: the standard deviation of an observed distance, as a share of it
    """

    road: str
    lanes: int
    density: float
    gap: float
    boldness: float
    grip: float
    sight: float
    noise: float

    def __str__(self) -> str:
        ramp = " with a ramp" if self.road == "merge" else ""
        return (
            f"a {self.lanes}-lane highway{ramp}, grip {self.grip:.2f}, sight {self.sight:.0f} m, density "
            f"{self.density:.2f}, time gap of the other drivers {self.gap:.1f} s"
        )


RANGES: Mapping[str, Range] = {
    "density": (0.8, 1.6),
    "gap": (0.8, 2.0),
    "boldness": (1.0, 5.0),
    "grip": (0.3, 1.0),
    "sight": (30.0, 110.0),
    "noise": (0.0, 0.1),
}
"""Of training worlds, which are drawn uniformly."""
BEYOND: Mapping[str, Range] = {**RANGES, "density": (1.6, 2.0), "grip": (0.2, 0.3), "sight": (22.0, 30.0)}
"""Of worlds beyond training: denser traffic, more slippery roads and shorter sight."""
LANES, LANES_BEYOND = (2, 4), 5
ROADS = ("highway", "highway", "merge")
SLIPPERY, DENSE = 0.5, 1.3
"""Training has no world whose grip is below SLIPPERY and whose density is above DENSE."""
SEEDS: Mapping[Split, int] = {"training": 0, "validation": 1, "test": 2}


def worlds(split: Split, count: int) -> list[World]:
    """The first `count` worlds of a split, always the same ones.

    The test worlds alternate: one of the combinations that training leaves out, then one beyond its ranges.
    """
    generator = np.random.default_rng([SEEDS[split], 20261124])
    return [
        _beyond(generator) if split == "test" and place % 2 else _within(generator, split) for place in range(count)
    ]


def is_held_out(world: World) -> bool:
    """Whether a world has a combination that training leaves out."""
    return world.grip < SLIPPERY and world.density > DENSE


def _within(generator: np.random.Generator, split: Split) -> World:
    while True:
        world = _draw(generator, RANGES, int(generator.integers(LANES[0], LANES[1] + 1)))
        if is_held_out(world) == (split == "test"):
            return world


def _beyond(generator: np.random.Generator) -> World:
    lanes = LANES_BEYOND if generator.random() < 0.5 else int(generator.integers(LANES[0], LANES[1] + 1))
    return _draw(generator, BEYOND, lanes)


def _draw(generator: np.random.Generator, ranges: Mapping[str, Range], lanes: int) -> World:
    road = str(generator.choice(ROADS))
    return World(road, lanes, **{name: float(generator.uniform(*bounds)) for name, bounds in ranges.items()})
