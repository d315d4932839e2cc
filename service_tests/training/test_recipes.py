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
        ({"decisions": 0}, "decisions: expected at least 1, got 0"),
        ({"adapt_steps": -1}, "adapt_steps: expected at least 0, got -1"),
        ({"warmup_steps": -1}, "warmup_steps: expected at least 0, got -1"),
        ({"stage_steps": -1}, "stage_steps: expected at least 0, got -1"),
        ({"seed": -1}, "seed: expected at least 0, got -1"),
        ({"seed": 2**64}, "seed: expected at most 9223372036854775807, got 18446744073709551616"),
        ({"adapt_steps": 10**9}, "adapt_steps: expected at most 10000, got 1000000000"),
        ({"tasks": 10**12}, "tasks: expected at most 1000000, got 1000000000000"),
        ({"inner_rate": 1_000_000.25}, "inner_rate: expected at most 1000000, got 1000000.25"),
        ({"inner_rate": -1}, "inner_rate: expected a number above 0, got -1"),
        ({"outer_rate": 0.0}, "outer_rate: expected a number above 0, got 0"),
        ({"outer_clip": float("nan")}, "outer_clip: expected a number above 0, got nan"),
        ({"ratio": float("inf")}, "ratio: expected at most 1000000, got inf"),
        ({"divergence": -0.5}, r"divergence: expected a number above 0, got -0\.5"),
        ({"shots": (-1, 3)}, r"shots: expected numbers from 0 to 1000000, got \[-1, 3\]"),
        ({"ways": (0, 3)}, r"ways: expected numbers from 1 to 1000000, got \[0, 3\]"),
        ({"inner_steps": (1, 10**9)}, r"inner_steps: expected numbers from 0 to 10000, got \[1, 1000000000\]"),
        ({"evaluation_shots": ()}, r"evaluation_shots: expected a list of numbers from 1 to 1000000, .*, got \[\]"),
        ({"evaluation_ways": (0,)}, r"evaluation_ways: expected a list of numbers from 1 to 1000000, .*, got \[0\]"),
        ({"network_options": 3}, r'network_options: expected options, such as {"hidden": \[64, 64\]}, got 3'),
        ({"network_options": {"hidden": (8,)}}, "options without it: add --set network=mlp"),
        ({"variants": "maml"}, "variants: expected options, .*, got 'maml'"),
    ],
)
def test_values_that_cannot_be_used_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe("sinusoid", **wrong)
    Recipe("sinusoid", outer_rate=1, patience=None, ways=None)
