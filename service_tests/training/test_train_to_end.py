"""The loop that drives a run: when it ends."""

import io
from pathlib import Path

import torch
from rich.console import Console

from app.training.recipes.recipe import Recipe
from app.training.train_to_end import finished, train_to_end
from app.training.training_run import Run


def test_patience_ends_with_too_many_validations_in_vain() -> None:
    run = Run(Recipe("linear", validate_every=10, patience=2), torch.device("cpu"), compiled=False)
    ends = []
    for step, error in ((10, 3.0), (20, 4.0), (30, 2.0), (40, 2.0), (50, float("inf"))):
        run.step = step
        run.keep_if_best(error)
        ends.append(finished(run))
    assert ends == [False, False, False, False, True]
    assert run.best is not None
    assert (run.best.score, run.best.step) == (2.0, 30)


def test_patience_counts_validations_and_not_the_early_ones() -> None:
    run = Run(Recipe("linear", validate_every=1_000, patience=2), torch.device("cpu"), compiled=False)
    ends = []
    for run.step in (62, 125, 1_000, 1_999, 2_000):
        run.keep_if_best(float(run.step))
        ends.append(finished(run))
    assert ends == [False, False, False, False, True]


def test_a_finished_run_that_is_continued_shows_no_loss(tmp_path: Path) -> None:
    run = Run(Recipe("linear", outer_steps=10), torch.device("cpu"), compiled=False)
    run.step = 10
    console = Console(record=True, width=200, file=io.StringIO(), force_terminal=True)
    train_to_end(run, tmp_path / "checkpoint.safetensors", console)
    shown = console.export_text()
    assert "10/10" in shown
    assert "nan" not in shown
