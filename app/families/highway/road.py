"""A world as a gymnasium environment."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from highway_env.envs.highway_env import HighwayEnvFast
from highway_env.envs.merge_env import MergeGenericEnv
from highway_env.road.lane import StraightLane
from highway_env.vehicle.objects import Obstacle
from numpy.typing import NDArray

from app.families.highway.lanes import hasten
from app.families.highway.seen import FEATURES, seen
from app.families.highway.traffic import Driver
from app.families.highway.vehicle import Car
from app.families.highway.world import ACTIONS, BRAKING, World

SPEEDS = (0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0)
"""In m/s, that the car can be told to keep."""
DECISIONS = 40
"""Of an episode that ends well, one a second."""
LANE, SPEED, SLOW, FAST = 0.1, 0.4, 10.0, 30.0
"""What the rightmost lane and the speed are worth, a crash costs 1; the speed counts from SLOW to FAST, in m/s."""
PACE = (12.0, 24.0)
"""In m/s, the speeds that the others would like to drive at."""
CLEAR = 40.0
"""Metres around the start where nobody else is."""
OBSTACLES, APART, FREE = 4, 250.0, 150.0
"""Things that lie on the road, about so many metres apart, and metres from the start that are free."""

Observation = NDArray[np.float32]


class Drive(gymnasium.Env[Observation, np.int64]):
    """Driving in a world: 40 decisions, or until there is a crash.

    An action is one of ACTIONS. The reward of a decision is that of highway-v0, from 0 to 1, where a speed counts from
    10 to 30 m/s: .67 for going on, .27 for the highest speed, .07 for the rightmost lane, 0 for a crash.
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
        over = bool(car.crashed or not car.on_road)
        said = {"crashed": over, "speed": car.speed}
        return self._observation(), self._reward(over), over, self._decisions == DECISIONS, said

    def render(self) -> Any:
        """The road from above, as an array of pixels."""
        return self._road.render()

    def close(self) -> None:
        """Let go of what draws."""
        self._road.close()

    def _observation(self) -> Observation:
        return seen(self._road.road, self._road.vehicle, self.world, self.np_random)

    def _reward(self, over: bool) -> float:
        car = self._road.vehicle
        others = self._road.road.network.all_side_lanes(car.lane_index)
        lane = min(car.target_lane_index[2] / max(len(others) - 1, 1), 1.0)
        speed = np.clip((car.speed * np.cos(car.heading) - SLOW) / (FAST - SLOW), 0, 1)
        return 0.0 if over else float((1 + LANE * lane + SPEED * speed) / (1 + LANE + SPEED))


def settings(world: World) -> dict[str, Any]:
    """What highway-env is told of a world."""
    return {
        "action": {"type": "DiscreteMetaAction", "target_speeds": SPEEDS},
        "observation": {"type": "AttributesObservation", "attributes": []},
        "other_vehicles_type": "app.families.highway.traffic.Driver",
        "lanes_count": world.lanes,
        "vehicles_density": world.density,
        "simulation_frequency": 5,
        "duration": float("inf"),
    }


def populate(road: Any, world: World) -> None:
    """Put our car in the place of theirs, make the others drive as they do in the world, and let some break down."""
    theirs = road.vehicle
    ours = Car(road.road, theirs.position, theirs.heading, min(theirs.speed, 20.0), target_speeds=np.array(SPEEDS))
    ours.hold(world.grip)
    others = [each for each in road.road.vehicles if abs(each.position[0] - ours.position[0]) > CLEAR]
    road.road.vehicles = [ours, *others]
    road.vehicle = ours
    for other in road.road.vehicles:
        if isinstance(other, Driver):
            other.check_collisions = False
            other.speed = other.target_speed = float(road.np_random.uniform(*PACE))
            other.TIME_WANTED = world.gap
            other.LANE_CHANGE_MAX_BRAKING_IMPOSED = world.boldness
            other.ACC_MAX = BRAKING * world.grip
            other.COMFORT_ACC_MIN = world.grip * Driver.COMFORT_ACC_MIN
    obstruct(road, world)


def obstruct(road: Any, world: World) -> None:
    """Put something on a lane every so often: who sees little or brakes badly has to be slow enough for it."""
    start, random = road.vehicle.position[0], road.np_random
    for place in range(OBSTACLES):
        along = start + FREE + (place + random.uniform(0, 1)) * APART
        across = StraightLane.DEFAULT_WIDTH * random.integers(world.lanes)
        road.road.objects.append(Obstacle(road.road, [along, across]))


class Highway(HighwayEnvFast):  # type: ignore[misc]
    """A straight road."""

    road: Any

    def __init__(self, world: World, render_mode: str | None) -> None:
        self.world = world
        super().__init__(settings(world) | {"vehicles_count": 15}, render_mode)

    def _create_road(self) -> None:
        super()._create_road()
        self.road = hasten(self.road)

    def _create_vehicles(self) -> None:
        super()._create_vehicles()
        populate(self, self.world)


class Merge(MergeGenericEnv):  # type: ignore[misc]
    """A straight road with a ramp from the right."""

    road: Any

    def __init__(self, world: World, render_mode: str | None) -> None:
        self.world = world
        lengths = {"before_merge_length": 150, "after_merge_length": 1500, "vehicles_count": round(10 * world.density)}
        super().__init__(settings(world) | lengths, render_mode)

    def _make_road(self) -> None:
        super()._make_road()
        self.road = hasten(self.road)

    def _make_vehicles(self) -> None:
        super()._make_vehicles()
        populate(self, self.world)
