from pathlib import Path

import numpy as np
import pytest

from app.bundles.folder import load
from app.families.task_rows import TaskRows
from app.training.tables.bundle_regressor import BundleRegressor
from app.training.tables.held_out_rows import Protocol
from app.training.tables.scores import score_tasks

MODELS = Path(__file__).parents[3] / "models"


def sinusoids(tasks: int) -> list[TaskRows]:
    generator = np.random.default_rng(0)
    table = []
    for number in range(tasks):
        inputs = generator.uniform(-5, 5, size=(60, 1))
        targets = generator.uniform(0.1, 5) * np.sin(inputs - generator.uniform(0, np.pi))
        table.append(TaskRows(f"wave {number}", inputs.astype(np.float32), targets.astype(np.float32)))
    return table


@pytest.mark.parametrize("name", ["sinusoid", "sinusoid-bayes"])
def test_a_bundle_predicts_and_covers_as_its_evaluation_says(name: str) -> None:
    bundle = load(MODELS / name)
    regressor = BundleRegressor(name, bundle)
    scores = score_tasks(regressor.fit([]), sinusoids(40), Protocol(sizes=(0, 10), draws=1), 1.0)
    without, with_rows = scores.errors.mean(axis=1)
    assert with_rows < without / 3
    assert np.abs(scores.coverage.mean(axis=1) - 0.9).max() < 0.06
