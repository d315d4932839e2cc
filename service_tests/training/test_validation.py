import math
from pathlib import Path

import pytest
import torch
from rich.console import Console

from app.training import calibration, tasks, validation
from app.training.recipes.recipe import Recipe
from app.training.train_to_end import train_to_end
from app.training.training_run import Run
from app.training.validation import Validation, next_validation

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


def test_the_first_interval_has_early_ones() -> None:
    def steps(every: int | None, last: int = 2_500) -> list[int]:
        recipe, found = Recipe("linear", validate_every=every, outer_steps=last), [0]
        while (step := next_validation(recipe, found[-1])) is not None and found[-1] < last:
            found.append(step)
        return found[1:]

    assert steps(1_000) == [62, 125, 250, 500, 1_000, 2_000, 2_500]
    assert steps(250, 600) == [62, 125, 250, 500, 600]
    assert steps(1_000, 300) == [62, 125, 250, 300]
    assert steps(None) == []


def test_what_is_shipped_is_the_best_that_was_seen(tmp_path: Path) -> None:
    """At this outer rate, the linear family is best early."""
    recipe = Recipe(
        "linear",
        outer_steps=400,
        validate_every=200,
        tasks=4,
        validation_tasks=20,
        inner_rate=0.1,
        outer_rate=1.0,
        seed=2,
    )
    watched, run = (Run(recipe, CPU, compiled=False) for _ in range(2))
    scores = {}
    for step in (50, 100, 200, 400):
        watched.advance(step - watched.step)
        scores[step] = Validation(watched).validate()
    best = min(scores, key=lambda step: scores[step])
    assert best < 200, "it gets worse later"
    train_to_end(run, tmp_path / "checkpoint.safetensors", Console(quiet=True))
    assert run.best is not None
    assert (run.best.score, run.best.step) == (scores[best], best)
    run.take_best()
    assert Validation(run).validate() == scores[best]


def test_its_tasks_are_nobody_elses() -> None:
    assert len({validation.SEED, tasks.SEED, calibration.SEED}) == 3


@pytest.mark.parametrize("every", [None, 10])
def test_a_recipe_may_do_without(every: int | None) -> None:
    run = Run(Recipe("linear", validation_tasks=2, validate_every=every, outer_steps=10), CPU, compiled=False)
    run.step = 10
    assert Validation(run).due == (every is not None)
