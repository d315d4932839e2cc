"""A world as a gymnasium environment."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from highway_env.envs.highway_env import HighwayEnvFast
from highway_env.envs.merge_env import MergeGenericEnv
from highway_env.road.lane import StraightLane
from numpy.typing import NDArray

from app.families.highway.driven_car import Car
from app.families.highway.observation import FASTEST, FEATURES, observe
from app.families.highway.other_drivers import Driver
from app.families.highway.traffic import fast_road
from app.families.highway.world_parameters import ACTIONS, BRAKING, World

SPEEDS = (0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0)
"""The speeds that the car can be told to keep, in m/s."""
DECISIONS = 40
"""Of an episode without a crash, one a second."""
CRASH = 10.0
"""The cost of a crash: as much as ten seconds at the highest speed earn."""
PACE = (15.0, 28.0)
"""The range of the other drivers' desired speeds, in m/s."""
CLEAR = 40.0
"""Metres without other vehicles around the start, and before a jam."""
JAMS, APART, FREE = 4, 300.0, 150.0
"""Jams on the road, about how many metres apart they are, and how many metres after the start are free of them."""
DISSOLVES, STANDING = 150.0, 3.0
"""A jam within this many metres dissolves once the car is slower than this many m/s."""

Observation = NDArray[np.float32]


class Drive(gymnasium.Env[Observation, np.int64]):
    """Driving in a world for 40 decisions, or until a crash.

    An action is one of ACTIONS. The reward of a decision is the speed along the road as a share of 30 m/s, or -CRASH
    for a crash.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 (gymnasium's own form)

    def __init__(self, world: World, render_mode: str | None = None) -> None:
        self.world = world
        self.render_mode = render_mode
        self.action_space = Discrete(len(ACTIONS))
        self.observation_space = Box(-1.5, 1.5, (FEATURES,), np.float32)
        make = Highway if world.road == "highway" else Merge
        self._road = make(world, render_mode)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode; the seed decides its traffic."""
        super().reset(seed=seed)
        self._road.reset(seed=seed)
        self._decisions = 0
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Drive on for a second."""
        self._road.step(int(action))
        self._decisions += 1
        car = self._road.vehicle
        dissolve_jam(self._road.road, car)
        over = bool(car.crashed or not car.on_road)
        info = {"crashed": over, "speed": car.speed}
        return self._observation(), self._reward(over), over, self._decisions == DECISIONS, info

    def render(self) -> Any:
        """The road from above, as an array of pixels."""
        return self._road.render()

    def close(self) -> None:
        """Close the renderer."""
        self._road.close()

    def _observation(self) -> Observation:
        return observe(self._road.road, self._road.vehicle, self.world, self.np_random)

    def _reward(self, over: bool) -> float:
        car = self._road.vehicle
        return -CRASH if over else float(car.speed * np.cos(car.heading)) / FASTEST


def settings(world: World) -> dict[str, Any]:
    """The configuration of a world in highway-env."""
    return {
        "action": {"type": "DiscreteMetaAction", "target_speeds": SPEEDS},
        "observation": {"type": "AttributesObservation", "attributes": []},
        "other_vehicles_type": "app.families.highway.other_drivers.Driver",
        "lanes_count": world.lanes,
        "vehicles_density": world.density,
        "simulation_frequency": 5,
        "duration": float("inf"),
    }


def populate(road: Any, world: World) -> None:
    """Replace highway-env's car by ours, make the others drive as the world has it, and add jams."""
    theirs = road.vehicle
    ours = Car(road.road, theirs.position, theirs.heading, min(theirs.speed, 20.0), target_speeds=np.array(SPEEDS))
    ours.set_grip(world.grip)
    others = [each for each in road.road.vehicles if abs(each.position[0] - ours.position[0]) > CLEAR]
    road.road.vehicles = [ours, *others]
    road.vehicle = ours
    for place in range(JAMS):
        add_jam(road, world, ours.position[0] + FREE + (place + road.np_random.uniform(0, 1)) * APART)
    for other in road.road.vehicles[1:]:
        if isinstance(other, Driver):
            other.check_collisions = False
            other.target_speed = float(road.np_random.uniform(*PACE))
            other.speed = 0.0 if other.stands else other.target_speed
            other.TIME_WANTED = world.gap
            other.LANE_CHANGE_MAX_BRAKING_IMPOSED = world.boldness
            other.ACC_MAX = BRAKING * world.grip
            other.COMFORT_ACC_MIN = world.grip * Driver.COMFORT_ACC_MIN


def add_jam(road: Any, world: World, along: float) -> None:
    """Put a standing vehicle on each lane, so that a driver with little sight or grip has to be slow."""
    road.road.vehicles = [each for each in road.road.vehicles if not 0 < along - each.position[0] < CLEAR]
    for lane in range(world.lanes):
        last = Driver(road.road, [along + road.np_random.uniform(0, 10), StraightLane.DEFAULT_WIDTH * lane])
        last.stands = True
        road.road.vehicles.append(last)


def dissolve_jam(road: Any, car: Any) -> None:
    """Let the jam before a car move on once the car has stopped."""
    if car.speed < STANDING:
        for other in road.vehicles:
            other.stands = other.stands and other.position[0] - car.position[0] > DISSOLVES


class Unrewarded:
    """An environment without rewards of its own: `Drive` has them."""

    def _reward(self, action: Any) -> float:
        return 0.0

    def _rewards(self, action: Any) -> dict[str, float]:
        return {}


class Highway(Unrewarded, HighwayEnvFast):  # type: ignore[misc]
    """A straight road."""

    road: Any

    def __init__(self, world: World, render_mode: str | None) -> None:
        self.world = world
        super().__init__(settings(world) | {"vehicles_count": 10}, render_mode)

    def _create_road(self) -> None:
        super()._create_road()
        self.road = fast_road(self.road)

    def _create_vehicles(self) -> None:
        super()._create_vehicles()
        populate(self, self.world)


class Merge(Unrewarded, MergeGenericEnv):  # type: ignore[misc]
    """A straight road with a ramp from the right."""

    road: Any

    def __init__(self, world: World, render_mode: str | None) -> None:
        self.world = world
        lengths = {"before_merge_length": 150, "after_merge_length": 1500, "vehicles_count": round(6 * world.density)}
        super().__init__(settings(world) | lengths, render_mode)

    def _make_road(self) -> None:
        super()._make_road()
        self.road = fast_road(self.road)

    def _make_vehicles(self) -> None:
        super()._make_vehicles()
        populate(self, self.world)
