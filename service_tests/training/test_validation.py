import math

import pytest
import torch

from app.training import calibration, tasks, validation
from app.training.recipes.recipe import Recipe
from app.training.run import Run
from app.training.validation import Validation

CPU = torch.device("cpu")


def test_validating_keeps_the_best_and_disturbs_nothing() -> None:
    recipe = Recipe("linear", validation_tasks=20, inner_rate=0.1, outer_rate=0.05)
    watched, alone = Run(recipe, CPU, compiled=False), Run(recipe, CPU, compiled=False)
    scores = []
    for _ in range(3):
        watched.advance(5)
        scores.append(Validation(watched).validate())
    alone.advance(15)
    assert all(torch.equal(value, alone.meta[name]) for name, value in watched.meta.items())
    assert watched.best is not None
    assert watched.best.score == min(scores)
    assert watched.best.step == 5 * (1 + scores.index(min(scores)))


def test_a_score_that_is_not_finite_is_never_the_best() -> None:
    run = Run(Recipe("linear", validation_tasks=5), CPU, compiled=False)
    run.keep_if_best(1e9)
    for value in run.meta.values():
        value.fill_(torch.nan)
    assert math.isnan(Validation(run).validate())
    assert run.best is not None
    assert run.best.score == 1e9


def test_it_is_due_after_so_many_steps_and_at_the_end() -> None:
    run = Run(Recipe("linear", validation_tasks=2, validate_every=4, outer_steps=10), CPU, compiled=False)
    validation, due = Validation(run), []
    for run.step in range(1, 11):
        due += [run.step] if validation.due else []
    assert due == [4, 8, 10]


def test_its_tasks_are_nobody_elses() -> None:
    assert len({validation.SEED, tasks.SEED, calibration.SEED}) == 3


@pytest.mark.parametrize("every", [None, 10])
def test_a_recipe_may_do_without(every: int | None) -> None:
    run = Run(Recipe("linear", validation_tasks=2, validate_every=every, outer_steps=10), CPU, compiled=False)
    run.step = 10
    assert Validation(run).due == (every is not None)
