"""Which worlds there are, and how somebody drives who knows them."""

from dataclasses import replace

import numpy as np
import pytest

from app.families.family import Split
from app.families.highway.observation import FEATURES
from app.families.highway.planner import KEEP, SLOWER, STANDSTILL, Style, plan, style_at_home
from app.families.highway.world_parameters import ACTIONS, BEYOND, LANES, RANGES, World, is_held_out, worlds

DRY = World("highway", 3, 1.2, 1.4, 2.0, 1.0, 150.0, 0.0)


@pytest.mark.parametrize("split", ["training", "validation", "test"])
def test_worlds_are_always_the_same_and_more_of_them_begin_with_fewer(split: Split) -> None:
    assert worlds(split, 20) == worlds(split, 30)[:20]
    assert len(set(worlds(split, 30))) == 30


def test_training_has_no_world_that_is_held_out() -> None:
    for world in (*worlds("training", 200), *worlds("validation", 200)):
        assert not is_held_out(world)
        assert LANES[0] <= world.lanes <= LANES[1]
        assert all(low <= getattr(world, name) <= high for name, (low, high) in RANGES.items())


def test_every_other_test_world_is_beyond_the_ranges_of_training() -> None:
    combined, beyond = worlds("test", 40)[::2], worlds("test", 40)[1::2]
    assert all(map(is_held_out, combined))
    for world in beyond:
        assert all(low <= getattr(world, name) <= high for name, (low, high) in BEYOND.items())
        assert world.grip <= RANGES["grip"][0]


def test_who_is_at_home_drives_slower_where_the_road_is_slippery_or_sight_is_short() -> None:
    speeds = [
        style_at_home(replace(DRY, grip=grip, sight=sight)).speed
        for grip, sight in ((1.0, 150.0), (1.0, 50.0), (0.3, 50.0))
    ]
    assert speeds == sorted(speeds, reverse=True)
    assert speeds[0] == 30.0
    braking = 0.9 * 0.3 * 8
    assert speeds[2] * 1.5 + speeds[2] ** 2 / (2 * braking) == pytest.approx(50 - STANDSTILL)


def test_a_planner_brakes_for_what_stands_before_it() -> None:
    seen = np.zeros(FEATURES, np.float32)
    seen[:2] = 20 / 30
    style = Style(20.0, 1.5, 0.7, 3.0)
    assert plan(seen, style) == KEEP
    lanes = seen[6:].reshape(3, 2, 2)
    seen[4] = 1
    lanes[1, 0] = 1 - 40 / 150, -20 / 15
    assert plan(seen, style) == SLOWER, "who has to brake hard does not change lanes"
    lanes[1, 0] = 1 - 100 / 150, -10 / 15
    assert plan(seen, style) == ACTIONS.index("left"), "where the lane beside is free"
    lanes[0, 1] = 1 - 3 / 150, 0.5
    assert plan(seen, style) == KEEP, "not where somebody comes there from behind"
