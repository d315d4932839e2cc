"""What the driver observes: the car itself, and the vehicles before and behind it on three lanes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.encoders.meanings import Meaning
from app.families.highway.world_parameters import World

NAMES = (
    *("speed", "kept speed", "beside the lane", "sideways", "lane to the left", "lane to the right"),
    *(
        f"{what} {where} {lane}"
        for lane in ("left", "ahead", "right")
        for where in ("before", "behind")
        for what in ("closeness", "speed")
    ),
)
FEATURES = len(NAMES)
FASTEST, WIDTH, FARTHEST, FASTER = 30.0, 4.0, 150.0, 15.0
"""The scales of speeds (m/s), widths (m), distances (m) and differences of speed (m/s)."""
SIDEWAYS = 5.0
"""The scale of the speed across the lane (m/s)."""
LIMIT = 1.5
"""Every number of an observation is clipped to this."""
UNITS = (
    *(f"{FASTEST:g} m/s", f"{FASTEST:g} m/s", f"{WIDTH:g} m", f"{SIDEWAYS:g} m/s", "", ""),
    *(6 * ("", f"{FASTER:g} m/s")),
)
MEANINGS = tuple(
    Meaning(name, unit, low=-LIMIT if unit else 0.0, high=LIMIT if unit else 1.0)
    for name, unit in zip(NAMES, UNITS, strict=True)
)
"""Of each number. Those without a unit are 0 where there is no lane or vehicle, and 1 for a lane or at the bumper."""


def observe(road: Any, car: Any, world: World, generator: np.random.Generator) -> NDArray[np.float32]:
    """The observation of a car. Each number is roughly between -1 and 1.

    Closeness is 1 at the bumper, and 0 at 150 m or where no vehicle is seen. Its speed is relative to the car's. Roads
    run along x, so y is the lane of a vehicle.
    """
    lane = road.network.get_lane(car.target_lane_index)
    middle = lane.position(lane.local_coordinates(car.position)[0], 0)[1]
    lanes = road.network.all_side_lanes(car.target_lane_index)
    place = car.target_lane_index[2]
    itself = [
        car.speed / FASTEST,
        car.target_speed / FASTEST,
        (car.position[1] - middle) / WIDTH,
        car.velocity[1] / SIDEWAYS,
        float(place > 0),
        float(place + 1 < len(lanes)),
    ]
    around = _around(road, car, middle, world, generator)
    observation: np.ndarray = np.clip(np.array([*itself, *around.ravel()]), -LIMIT, LIMIT).astype(np.float32)
    return observation


def _around(road: Any, car: Any, middle: float, world: World, generator: np.random.Generator) -> NDArray[np.float64]:
    """[lane, before or behind, closeness and speed]."""
    around, nearest = np.zeros((3, 2, 2)), np.full((3, 2), world.sight)
    for other in (*road.vehicles, *road.objects):
        ahead = other.position[0] - car.position[0]
        lane = 1 + round((other.position[1] - middle) / WIDTH)
        side = int(ahead < 0)
        if other is car or not 0 <= lane <= 2 or abs(ahead) >= nearest[lane, side]:
            continue
        nearest[lane, side] = abs(ahead)
        distance = max(abs(ahead) - car.LENGTH, 0.0) * max(1 + world.noise * generator.standard_normal(), 0.0)
        around[lane, side] = max(1 - distance / FARTHEST, 0.0), (other.velocity[0] - car.velocity[0]) / FASTER
    return around
