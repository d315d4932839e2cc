import math

import pytest

from app.learn.adaptation_outcome import Status, judge


@pytest.mark.parametrize(
    ("losses", "status"),
    [
        ([3.0, 2.0, 1.0], Status.improved),
        ([3.0, 9.0, 2.9], Status.improved),
        ([3.0], Status.no_progress),
        ([3.0, 3.0], Status.no_progress),
        ([1e-9, 299.0], Status.no_progress),  # a billion times the first, but not a hundred times the initial loss
        ([1e-9, 301.0], Status.diverged),
        ([9.0, 850.0], Status.no_progress),  # large on that scale, but not a hundred times the first
        ([3.0, 350.0], Status.diverged),
        ([-3.0, -4.0], Status.improved),
        ([-3.0, -2.9], Status.no_progress),
        ([-3.0, 299.0], Status.no_progress),
        ([-3.0, 301.0], Status.diverged),
        ([3.0, math.nan], Status.not_finite),
        ([3.0, math.inf, 1.0], Status.not_finite),
    ],
)
def test_judge(losses: list[float], status: Status) -> None:
    assert judge(losses, initial_loss=3.0) is status


def test_only_what_did_not_run_away_is_usable() -> None:
    assert [status.name for status in Status if status.usable] == ["improved", "no_progress"]


@pytest.mark.parametrize("status", Status)
def test_each_has_its_sentence(status: Status) -> None:
    assert status.sentence.endswith(".")
