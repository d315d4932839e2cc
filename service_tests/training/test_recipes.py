import dataclasses
from typing import Any

import pytest

from app.families.registry import families, make
from app.learn.algorithms import ALGORITHMS
from app.training.recipes.recipe import Recipe
from app.training.recipes.registry import recipe_for
from service_tests.families.test_families import OPTIONS


@pytest.mark.parametrize("family", sorted(families()))
def test_every_family_has_a_recipe_that_fits(family: str) -> None:
    recipe = recipe_for(family)
    assert recipe.family == family
    assert recipe.algorithm in ALGORITHMS
    assert make(family, {**OPTIONS.get(family, {}), **recipe.family_options})


def test_recipes_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe_for("sinusoid").seed = 1  # type: ignore[misc]


def test_a_family_without_one_gets_the_default() -> None:
    assert recipe_for("unheard-of") == Recipe("unheard-of")


def test_every_choice_is_documented() -> None:
    for field in dataclasses.fields(Recipe):
        assert field.name in (Recipe.__doc__ or "")


@pytest.mark.parametrize("wrong", [{"shots": 5}, {"ways": (5,)}, {"inner_steps": None}, {"evaluation_shots": 1}])
def test_sizes_of_another_form_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"{next(iter(wrong))}: expected .*such as \[1, 5\], got"):
        Recipe("sinusoid", **wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tasks": "abc"}, "tasks: expected a whole number, got 'abc'"),
        ({"outer_rate": "fast"}, "outer_rate: expected a number, got 'fast'"),
        ({"network": 3}, "network: expected a string, got 3"),
        ({"patience": 1.5}, r"patience: expected a whole number, got 1\.5"),
        ({"shots": (1, "b")}, r"shots: expected .*such as \[1, 5\], got"),
        ({"shots": (9, 3)}, r"shots: expected the smallest number first, got \[9, 3\]"),
        ({"tasks": 0}, "tasks: expected at least 1, got 0"),
        ({"validate_every": 0}, "validate_every: expected at least 1, got 0"),
    ],
)
def test_values_that_cannot_be_used_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe("sinusoid", **wrong)
    Recipe("sinusoid", outer_rate=1, patience=None, ways=None)
