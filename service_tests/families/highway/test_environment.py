"""Short real drives in highway-env."""

from dataclasses import replace

import numpy as np
import pytest

from app.families.highway.observation import FEATURES, NAMES
from app.families.highway.planner import KEEP, SLOWER, Style, plan
from app.families.highway.world_parameters import ACTIONS, World

pytest.importorskip("highway_env", reason="the simulator is an extra: pip install 'innerloop-server[driving]'")
from gymnasium.spaces import Discrete
from gymnasium.utils.env_checker import check_env
from highway_env.road.road import Road, RoadNetwork
from highway_env.vehicle.behavior import IDMVehicle

from app.families.highway.environment import CRASH, DECISIONS, JAMS, STANDING, Drive
from app.families.highway.episodes import Episode, drive_episode, make_driver, seed_of

DRY = World("highway", 3, 1.2, 1.4, 2.0, 1.0, 150.0, 0.0)
"""A dry road in clear air."""
KEPT = make_driver(Style(20.0, 1.5, 0.7, 3.0))


def same(one: Episode, two: Episode) -> bool:
    pairs = ((one.observations, two.observations), (one.actions, two.actions), (one.rewards, two.rewards))
    return all(np.array_equal(*pair) for pair in pairs)


@pytest.mark.parametrize("road", ["highway", "merge"])
def test_a_world_is_a_gymnasium_environment(road: str) -> None:
    drive = Drive(replace(DRY, road=road))
    check_env(drive, skip_render_check=True)
    assert drive.observation_space.shape == (FEATURES,) == (len(NAMES),)
    assert isinstance(drive.action_space, Discrete)
    assert drive.action_space.n == len(ACTIONS)


@pytest.mark.parametrize("road", ["highway", "merge"])
def test_the_seed_decides_an_episode(road: str) -> None:
    drive = Drive(replace(DRY, road=road, noise=0.1))
    first, second, other = (drive_episode(drive, KEPT, seed) for seed in (1, 1, 2))
    assert same(first, second)
    assert not same(first, other)


def test_the_return_is_the_way_less_what_a_crash_costs() -> None:
    episodes = [drive_episode(Drive(DRY), lambda seen: ACTIONS.index("faster"), seed) for seed in range(4)]
    for episode in episodes:
        way = episode.rewards[:-1] if episode.crashed else episode.rewards
        assert 0 <= way.min() <= way.max() <= 1.05
        assert len(episode.actions) == DECISIONS or episode.crashed
        assert (episode.rewards[-1] == -CRASH) == episode.crashed
    assert any(episode.crashed for episode in episodes), "who only ever speeds up hits something"


def test_a_jam_lets_who_has_stopped_before_it_go_on() -> None:
    drive = Drive(replace(DRY, density=0.1))
    drive.reset(seed=3)
    road, car = drive._road.road, drive._road.vehicle
    jam = [each for each in road.vehicles if each.stands]
    assert len(jam) == JAMS * DRY.lanes
    nearest = sorted(jam, key=lambda each: each.position[0])[: DRY.lanes]
    while nearest[0].stands:
        assert all(each.speed == 0 for each in jam)
        drive.step(plan(drive._observation(), Style(20.0, 1.5, 0.7, 3.0)))
    assert car.speed < STANDING
    assert not car.crashed
    assert sum(each.stands for each in jam) == len(jam) - len(nearest)
    for _ in range(3):
        drive.step(KEEP)
    assert all(each.speed > 0 for each in nearest)


@pytest.mark.parametrize("grip", [0.2, 1.0])
def test_who_stands_stays_straight(grip: float) -> None:
    drive = Drive(replace(DRY, grip=grip, density=0.1))
    drive.reset(seed=3)
    for _ in range(30):
        *_, over, _, info = drive.step(SLOWER)
    assert not over
    assert abs(info["speed"]) < 0.1
    assert abs(drive._road.vehicle.heading) < 0.1


def test_nobody_drives_backwards() -> None:
    drive = Drive(replace(DRY, density=2.0, grip=0.3))
    drive.reset(seed=4)
    for _ in range(30):
        drive.step(plan(drive._observation(), Style(15.0, 1.5, 0.7, 3.0)))
        assert all(each.speed >= 0 for each in drive._road.road.vehicles[1:])


def stopping_distance(grip: float) -> float:
    """Metres from 20 m/s until the car stands."""
    drive = Drive(replace(DRY, grip=grip, density=0.1))
    drive.reset(seed=3)
    car = drive._road.vehicle
    began = car.position[0]
    while car.speed > 0.5:
        drive.step(SLOWER)
    return float(car.position[0] - began)


def test_a_slippery_road_takes_longer_to_stop_on_and_lanes_longer_to_change() -> None:
    assert stopping_distance(0.3) > 1.5 * stopping_distance(1.0)
    swings = {}
    for grip in (0.3, 1.0):
        drive = Drive(replace(DRY, grip=grip, density=0.1))
        drive.reset(seed=1)
        car = drive._road.vehicle
        began, places = car.position[1], []
        towards = ACTIONS.index("left" if car.target_lane_index[2] else "right")
        for action in (towards, KEEP, KEEP, KEEP, KEEP):
            drive.step(action)
            places.append(abs(car.position[1] - began))
        swings[grip] = max(places)
    assert swings[0.3] > swings[1.0] + 0.3, "it overshoots the lane"


def test_nothing_is_seen_beyond_sight() -> None:
    far, near = (Drive(replace(DRY, sight=sight)).reset(seed=5)[0] for sight in (150.0, 5.0))
    assert np.count_nonzero(near[6:]) == 0 < np.count_nonzero(far[6:])


def test_plain_numbers_are_the_parents() -> None:
    drive = Drive(replace(DRY, density=2.0))
    drive.reset(seed=7)
    drive.step(KEEP)
    road = drive._road.road
    for car in road.vehicles[1:]:
        for lane in road.network.all_side_lanes(car.lane_index):
            assert road.neighbour_vehicles(car, lane) == Road.neighbour_vehicles(road, car, lane)
            assert car.steering_control(lane) == pytest.approx(IDMVehicle.steering_control(car, lane), abs=1e-9)
        before, _ = road.neighbour_vehicles(car)
        ours, parents = car.acceleration(car, before), IDMVehicle.acceleration(car, car, before)
        assert ours == pytest.approx(parents, rel=1e-6)
        place = road.network.get_closest_lane_index(car.position, car.heading)
        assert place == RoadNetwork.get_closest_lane_index(road.network, car.position, car.heading)


def test_no_two_episodes_have_the_same_traffic() -> None:
    seeds = [seed_of(split, world, 0) for split in ("training", "validation", "test") for world in range(100)]
    assert len(set(seeds)) == 300
