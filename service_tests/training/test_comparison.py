import math

import pytest
import torch

from app.errors import TrainingError
from app.training.comparison import (
    Contender,
    comparison_protocol,
    comparison_text,
    paired_difference,
    ranked,
    train_and_score,
)
from app.training.recipe_variants import with_algorithm
from app.training.recipes.recipe import Recipe
from app.training.tasks import Setting
from app.training.train_to_end import make_run
from app.training.training_run import Run

CPU = torch.device("cpu")
FIVE = Setting(5)


def made_up(algorithm: str, *scores: float, kind: str = "regression") -> Contender:
    return Contender(algorithm, kind, {FIVE: torch.tensor(scores)}, 5, 12.0, 1000, 0.5)


def test_the_best_comes_first() -> None:
    few, many, lost = made_up("few", 1.0, 2.0), made_up("many", 3.0, 4.0), made_up("lost", math.nan, 1.0)
    assert [each.algorithm for each in ranked([lost, many, few])] == ["few", "many", "lost"]
    right = [made_up(name, score, score, kind="classification") for name, score in (("a", 0.5), ("b", 0.9))]
    assert [each.algorithm for each in ranked(right)] == ["b", "a"]


def test_differences_are_paired() -> None:
    """Tasks differ by far more than the two do, and the interval of the difference does not see it."""
    best = torch.tensor([1.0, 100.0, 10_000.0])
    difference = paired_difference(best, best + torch.tensor([0.9, 1.0, 1.1]))
    assert difference.mean == pytest.approx(1.0, abs=1e-3), "of float32"
    assert difference.half_width < 0.2


def test_the_table_has_a_row_a_contender_and_what_it_cost() -> None:
    lines = comparison_text([made_up("slow", 2.0, 3.0), made_up("quick", 1.0, 2.0)]).splitlines()
    assert lines[0] == "|  | 5-shot | inner steps | trained, s | tasks seen | ms per task |"
    assert lines[2] == "| quick | 1.5 ± 0.98 | 5 | 12 | 1,000 | 0.5 |"
    assert lines[3] == "| slow | 2.5 ± 0.98 (+1 ± 0) | 5 | 12 | 1,000 | 0.5 |"


def test_all_contend_at_the_same_budget_on_the_same_tasks() -> None:
    recipe = Recipe("linear", outer_steps=20, tasks=4, inner_rate=0.1, validate_every=10, validation_tasks=10)
    contenders = [train_and_score(Run(with_algorithm(recipe, name), CPU, compiled=False)) for name in ("maml", "ridge")]
    assert [each.tasks for each in contenders] == [80, 80]
    assert [each.steps for each in contenders] == [5, 1]
    assert all(each.scores[FIVE].shape == (600,) for each in contenders)
    assert "20 outer steps of 4 tasks" in comparison_protocol(recipe)


def test_runs_on_their_own_decisions_are_not_compared() -> None:
    options = {"inputs": 2, "actions": 2, "hidden": [8]}
    recipe = Recipe("navigation", network="gaussian_mlp", network_options=options, episodes=2, tasks=2)
    with pytest.raises(TrainingError, match=r"got navigation, which is trained by acting: .* --set episodes=null"):
        train_and_score(make_run(recipe, CPU))
