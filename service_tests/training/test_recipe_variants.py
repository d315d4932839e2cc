import pytest
import torch

from app.errors import TrainingError
from app.learn.algorithms import ALGORITHMS
from app.training.recipe_variants import at_budget, fitting_algorithms, with_algorithm
from app.training.recipes.recipe import Recipe
from app.training.recipes.registry import recipe_for
from app.training.training_run import Run

CPU = torch.device("cpu")


@pytest.mark.parametrize("family", ["sinusoid", "blobs"])
def test_every_algorithm_that_fits_can_be_trained(family: str) -> None:
    kind = {"sinusoid": "regression", "blobs": "classification"}[family]
    recipe = recipe_for(family)
    names = fitting_algorithms(recipe)
    # blobs have no network that takes a context
    expected = {name for name, each in ALGORITHMS.items() if kind in each.kinds}
    assert expected - {"cavia"} <= set(names) <= expected
    for name in names:
        run = Run(with_algorithm(recipe, name), CPU, compiled=False)
        assert run.recipe.algorithm == name
        assert run.recipe.family == family


def test_the_recipes_own_algorithm_changes_nothing() -> None:
    recipe = Recipe("sinusoid", outer_rate=0.123)
    assert with_algorithm(recipe, "maml") is recipe


def test_the_familys_network_gets_the_outputs_that_the_algorithm_needs() -> None:
    assert with_algorithm(Recipe("blobs"), "maml").network_options["outputs"] == 5


def test_a_recipe_says_what_others_change() -> None:
    recipe = Recipe("sinusoid", outer_rate=0.123, variants={"cavia": {"inner_rate": 1.0}, "anil": {"tasks": 7}})
    changed = with_algorithm(recipe, "cavia")
    assert (changed.inner_rate, changed.outer_rate, changed.tasks) == (1.0, None, 25)
    assert changed.network == "context_mlp"


def test_a_comparison_is_at_the_same_budget() -> None:
    recipe = Recipe("sinusoid", variants={"anil": {"tasks": 7, "outer_steps": 3, "inner_rate": 0.5}})
    changed = at_budget(recipe, "anil")
    assert (changed.tasks, changed.outer_steps, changed.inner_rate) == (25, 10_000, 0.5)


def test_a_head_is_put_on_the_last_hidden_layer() -> None:
    assert with_algorithm(Recipe("sinusoid"), "ridge").network_options == {"inputs": 1, "hidden": [40, 40]}
    assert with_algorithm(Recipe("blobs", algorithm="protonet"), "maml").network_options["outputs"] == 5


@pytest.mark.parametrize(
    ("algorithm", "reason"),
    [
        ("magic", "--algorithm: expected one of .*, got 'magic'"),
        (
            "protonet",
            "--algorithm: expected an algorithm for regression, got protonet, which is for classification: choose "
            "one of alpaca",
        ),
    ],
)
def test_what_does_not_fit_is_refused(algorithm: str, reason: str) -> None:
    with pytest.raises(TrainingError, match=reason):
        with_algorithm(Recipe("sinusoid"), algorithm)


def test_a_reason_is_named_once() -> None:
    reason = "the network of linear, got cavia: network: expected a parameter `context`, got none: use the network "
    with pytest.raises(TrainingError, match=reason) as caught:
        with_algorithm(Recipe("linear"), "cavia")
    assert str(caught.value).count("got none") == 1
