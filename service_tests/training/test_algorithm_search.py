import pytest
import torch

from app.errors import TrainingError
from app.training.algorithm_search import Round, SearchResult, search_algorithm
from app.training.recipe_variants import at_budget
from app.training.recipes.recipe import Recipe
from app.training.train_to_end import make_run
from app.training.training_run import Run
from app.training.validation import Validation

CPU = torch.device("cpu")


def test_the_field_is_halved_until_one_is_left() -> None:
    recipe = Recipe("sinusoid", outer_steps=64, tasks=4, validation_tasks=10)
    seen: list[Round] = []
    result = search_algorithm(recipe, lambda each: Run(each, CPU, compiled=False), seen.append)
    assert [len(each.scores) for each in result.rounds] == [8, 4, 2]
    assert [each.outer_steps for each in result.rounds] == [4, 8, 16]
    assert seen == result.rounds
    for earlier, later in zip(result.rounds, result.rounds[1:], strict=False):
        kept = max(earlier.scores[name] for name in later.scores)
        assert all(score >= kept for name, score in earlier.scores.items() if name not in later.scores)
    assert result.algorithm == min(result.rounds[-1].scores, key=lambda name: result.rounds[-1].scores[name])
    assert result.reason.startswith(f"`{result.algorithm}` was chosen on validation tasks among ")
    assert SearchResult.from_json(result.as_json()) == result


def test_what_is_left_has_the_best_score_of_the_search() -> None:
    """At this outer rate all algorithms jump about, so the scores of later rounds may be worse."""
    recipe = Recipe("linear", outer_steps=64, tasks=4, validation_tasks=20, inner_rate=0.1, outer_rate=1.0)
    result = search_algorithm(recipe, lambda each: Run(each, CPU, compiled=False))
    best = min(score for each in result.rounds for score in each.scores.values())
    assert result.best is not None
    assert result.rounds[-1].scores[result.algorithm] == result.best.score == best
    run = Run(at_budget(recipe, result.algorithm), CPU, compiled=False)
    run.keep_if_better(result.best)
    run.take_best()
    assert Validation(run).validate() == best


def test_policies_are_searched_by_their_returns() -> None:
    """Five steps of a point that barely moves lose about .38 each; the likelihood of decisions would be about 0."""
    recipe = Recipe(
        "navigation",
        {"longest": 5},
        "gaussian_mlp",
        {"inputs": 2, "actions": 2, "hidden": [8], "deviation": 0.05, "gain": 0.1},
        tasks=2,
        episodes=2,
        stages=1,
        outer_steps=4,
        validation_tasks=4,
        evaluation_shots=(2,),
    )
    result = search_algorithm(recipe, lambda each: make_run(each, CPU))
    assert all(-5 < score < -0.5 for each in result.rounds for score in each.scores.values())


def test_a_search_without_an_algorithm_that_fits_is_refused() -> None:
    recipe = Recipe("sinusoid", algorithm="averaging", network="mlp", network_options={"inputs": 3, "outputs": 1})
    with pytest.raises(
        TrainingError, match=r"--algorithm auto: expected a family that one of .* fits, got sinusoid: name an algorithm"
    ):
        search_algorithm(recipe, lambda each: make_run(each, CPU))
