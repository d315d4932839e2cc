import math

import pytest

from app.training.early_stopping import Best, better_of, out_of_patience
from app.training.recipes.recipe import Recipe


@pytest.mark.parametrize(
    ("kind", "old", "new", "kept"),
    [
        ("regression", 2.0, 1.0, 1.0),
        ("regression", 1.0, 2.0, 1.0),
        ("classification", 0.5, 0.6, 0.6),
        ("classification", 0.6, 0.5, 0.6),
        ("regression", 1.0, math.nan, 1.0),
    ],
)
def test_the_better_score_is_kept(kind: str, old: float, new: float, kept: float) -> None:
    assert better_of(Best(old, 1, {}), Best(new, 2, {}), kind).score == kept


def test_of_two_that_are_equally_good_the_first_is_kept() -> None:
    first = Best(1.0, 1, {})
    assert better_of(first, Best(1.0, 2, {}), "regression") is first
    assert better_of(None, first, "regression") is first


@pytest.mark.parametrize(
    ("step", "best", "stops"),
    [(200, 10, False), (299, 110, False), (300, 110, False), (400, 110, True), (400, 210, False)],
)
def test_patience_counts_whole_intervals_since_the_best(step: int, best: int, stops: bool) -> None:
    recipe = Recipe("linear", validate_every=100, patience=3)
    assert out_of_patience(recipe, step, Best(1.0, best, {})) == stops


def test_without_patience_or_a_score_training_goes_on() -> None:
    assert not out_of_patience(Recipe("linear", validate_every=100), 10_000, Best(1.0, 0, {}))
    assert not out_of_patience(Recipe("linear", validate_every=100, patience=1), 10_000, None)
