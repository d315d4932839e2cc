from dataclasses import replace

import pytest
import torch

from app.learn.calibration_table import Calibration

KNOWN = Calibration(
    tasks=100,
    seed=1,
    shots=(1, 4),
    levels=(0.5, 0.9),
    half_widths=(((1.0, 4.0), (2.0, 8.0)), ((0.25, 1.0), (0.5, 0.0))),
)


def test_what_is_known_is_given_as_it_is() -> None:
    assert KNOWN.widths_for(0.9, 1) == (4.0, 8.0)
    assert KNOWN.widths_for(0.5, 4) == (0.25, 0.5)


def test_between_it_is_interpolated() -> None:
    assert KNOWN.widths_for(0.7, 1) == pytest.approx((2.5, 5.0))
    assert KNOWN.widths_for(0.5, 2) == pytest.approx((0.5, 1.0)), "halfway from 1 to 4 by the logarithm"
    assert KNOWN.widths_for(0.9, 2) == pytest.approx((2.0, 4.0)), "0 has no logarithm"


def test_outside_it_is_the_nearest() -> None:
    assert KNOWN.widths_for(0.9, 100) == KNOWN.widths_for(0.9, 4)


def test_the_initialization_may_be_calibrated() -> None:
    """Between 0 shots and the next number the width falls too, in the logarithm of 1 more."""
    known = replace(KNOWN, shots=(0, 3))
    assert known.fits(targets=2)
    assert known.widths_for(0.9, 0) == (4.0, 8.0)
    assert known.widths_for(0.5, 1) == pytest.approx((0.5, 1.0))
    assert known.widths_for(0.9, 3) == (1.0, 0.0)


@pytest.mark.parametrize("level", [0.4, 0.95, float("nan")])
def test_a_level_that_is_not_known_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match=r"the level must be from 0\.5 to 0\.9"):
        KNOWN.widths_for(level, 1)
    with pytest.raises(ValueError, match=r"to 0\.9, got 0\.9000000001$"):
        KNOWN.widths_for(0.9000000001, 1)


def test_what_fits() -> None:
    assert Calibration().fits(targets=3)
    assert KNOWN.fits(targets=2)
    assert replace(KNOWN, half_widths=(), levels=()).fits(targets=1)


@pytest.mark.parametrize(
    "change",
    [
        {"shots": (4, 1)},
        {"shots": ()},
        {"shots": (-1, 4)},
        {"shots": (0, 4), "familiarity": (1.0, 2.0)},
        {"levels": (0.5, 1.0)},
        {"levels": (0.5,)},
        {"levels": (), "half_widths": (((), ()), ((), ()))},
        {"half_widths": KNOWN.half_widths[:1]},
        {"half_widths": (((1.0, -4.0), (2.0, 8.0)),) * 2},
        {"temperature": 0.0},
        {"familiarity": (1.0,)},
        {"tasks": 0},
    ],
)
def test_what_does_not_fit(change: dict[str, object]) -> None:
    assert not replace(KNOWN, **change).fits(targets=2)  # type: ignore[arg-type]


NEAR = replace(
    KNOWN,
    shots=(0, 4),
    distances=((), (0.0, 1.0, 2.0)),
    stretch=(((), ()), ((0.5, 1.0, 3.0), (1.0, 1.0, 1.0))),
)


def test_intervals_are_stretched_by_the_distance() -> None:
    assert NEAR.fits(targets=2)
    assert NEAR.stretch_for(4, torch.tensor([0.0, 0.5, 1.5, 9.0])).tolist() == [[0.5, 1], [0.75, 1], [2, 1], [3, 1]]
    equal = replace(NEAR, distances=((), (0.0, 1.0, 1.0)))
    assert equal.stretch_for(4, torch.tensor([1.0, 1.5])).tolist() == [[1, 1], [3, 1]]
    assert NEAR.stretch_for(100, torch.tensor([1.5])).tolist() == [[2, 1]]
    assert NEAR.stretch_for(0, torch.tensor([1.5])).tolist() == [[1, 1]], "without examples there is no distance"
    assert 1 < NEAR.stretch_for(1, torch.tensor([1.5]))[0, 0] < 2
    between = replace(NEAR, shots=(1, 4), distances=((0.0, 4.0), (0.0, 2.0)), stretch=(((1.0, 3.0),) * 2,) * 2)
    assert between.fits(targets=2)
    assert between.stretch_for(2, torch.tensor([2.0]))[0, 0] == pytest.approx(2.5), "halfway by the logarithm"


def test_the_largest_distance_is_that_of_the_shots() -> None:
    calibration = replace(NEAR, shots=(1, 4), distances=((0.0, 4.0), (0.0, 1.0)))
    assert [calibration.largest_distance(shots) for shots in (1, 4, 5, 100)] == [4.0, 1.0, 1.0, 1.0]
    assert calibration.largest_distance(2) == pytest.approx(2.0)
    assert calibration.largest_distance(2.0) == pytest.approx(2.0), "the sum of weights"
    assert NEAR.largest_distance(0) == float("inf")
    assert replace(NEAR, shots=(2, 4), distances=((0.0, 4.0), (0.0, 1.0))).largest_distance(1) == 4.0


@pytest.mark.parametrize(
    "change",
    [
        {"distances": None},
        {"stretch": None},
        {"distances": ((),)},
        {"distances": ((0.0,), (0.0, 1.0, 2.0))},
        {"distances": ((), ()), "stretch": (((), ()), ((), ()))},
        {"distances": ((), (0.0, 2.0, 1.0))},
        {"distances": ((), (-1.0, 1.0, 2.0))},
        {"stretch": (((), ()), ((0.5, 3.0, 1.0), (1.0, 1.0, 1.0)))},
        {"distances": ((), (0.0,)), "stretch": (((), ()), ((1.0,), (1.0,)))},
        {"stretch": (((), ()), ((0.5, 1.0, 3.0),))},
        {"stretch": (((), ()), ((0.5, 1.0), (1.0, 1.0)))},
        {"stretch": (((), ()), ((0.5, 1.0, 0.0), (1.0, 1.0, 1.0)))},
    ],
)
def test_distances_that_do_not_fit(change: dict[str, object]) -> None:
    assert not replace(NEAR, **change).fits(targets=2)  # type: ignore[arg-type]


def test_other_targets_do_not_fit() -> None:
    assert not KNOWN.fits(targets=1)
