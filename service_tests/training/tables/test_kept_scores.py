"""A comparison that is interrupted and started again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from app.families.task_rows import TaskRows
from app.training.tables.baselines.pooled import Pooled
from app.training.tables.baselines.task_mean import fit_mean
from app.training.tables.comparison import compare
from app.training.tables.held_out_rows import Protocol, folds
from app.training.tables.regressor import FittedRegressor
from service_tests.benchmarks.kept_scores import KeptScores
from service_tests.training.tables.made_up_tables import table_of_offsets

PROTOCOL = Protocol(sizes=(0, 3), draws=2)


@dataclass(frozen=True)
class Counting:
    """Predicts as the task mean does, and counts its fits."""

    name: str
    fits: list[int] = field(default_factory=list)

    def fit(self, tasks: Sequence[TaskRows]) -> FittedRegressor:
        self.fits.append(len(tasks))
        return Pooled("task mean", fit_mean, "shrunk").fit(tasks)


def test_what_is_scored_once_is_not_fitted_again(tmp_path: Path) -> None:
    splits = folds(table_of_offsets(tasks=12, rows=8), 2)
    one, two = Counting("model"), Counting("baseline")
    plain = compare(one, [two], splits, PROTOCOL)
    first = compare(one, [two], splits, PROTOCOL, score=KeptScores(tmp_path))
    fits = len(one.fits), len(two.fits)
    again = compare(one, [two], splits, PROTOCOL, score=KeptScores(tmp_path))
    assert (len(one.fits), len(two.fits)) == fits
    for comparison in (first, again):
        np.testing.assert_array_equal(comparison.errors_of("model", 3), plain.errors_of("model", 3))
        assert comparison.chosen == plain.chosen


def test_other_tasks_and_another_protocol_are_scored_anew(tmp_path: Path) -> None:
    regressor, score = Counting("model"), KeptScores(tmp_path)
    for seed in (0, 1):
        for protocol in (PROTOCOL, Protocol(sizes=(0, 3), draws=1)):
            for split in folds(table_of_offsets(tasks=12, rows=8, seed=seed), 2):
                score(regressor, split, protocol)
    assert len(regressor.fits) == 8
