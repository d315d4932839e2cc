"""What every baseline for labels has to do."""

import numpy as np
import pytest

from app.families.task_rows import TaskRows
from app.training.tables.baselines.all_baselines import label_baselines
from app.training.tables.baselines.majority_label import LabelShares
from app.training.tables.held_out_rows import Protocol
from app.training.tables.regressor import Regressor
from app.training.tables.scores import score_tasks

BASELINES = [pytest.param(each, id=each.name) for each in label_baselines()]
PROTOCOL = Protocol(sizes=(0, 3, 20), draws=1, labels=True)


def table_of_labels(tasks: int, seed: int = 0) -> list[TaskRows]:
    """Label 2 where x > 0 and else, depending on the task, 0 or 1."""
    generator = np.random.default_rng(seed)
    table = []
    for number in range(tasks):
        inputs = generator.normal(size=(40, 2)).astype(np.float32)
        targets = np.where(inputs[:, :1] > 0, 2.0, float(number % 2)).astype(np.float32)
        table.append(TaskRows(f"{number}", inputs, targets))
    return table


@pytest.mark.parametrize("baseline", BASELINES)
def test_its_errors_are_near_what_the_problem_allows(baseline: Regressor) -> None:
    fitted = baseline.fit(table_of_labels(12))
    scores = score_tasks(fitted, table_of_labels(12, seed=1), PROTOCOL, 1.0)
    limits = {
        "most frequent label of the task": (0.6, 0.65, 0.6),
        "logistic regression": (0.35, 0.35, 0.35),
        "boosting": (0.35, 0.35, 0.35),
        "logistic regression per task": (0.6, 0.45, 0.15),
        "boosting with the labels of the task": (0.35, 0.25, 0.1),
    }[baseline.name]
    assert (scores.errors.mean(axis=1) < limits).all()
    assert np.isnan(scores.coverage).all()


@pytest.mark.parametrize("baseline", BASELINES)
def test_a_label_that_training_has_not_seen(baseline: Regressor) -> None:
    task = table_of_labels(1)[0]
    labels = baseline.fit(table_of_labels(12)).predict(
        task.inputs[:4], np.full((4, 1), 7.0, np.float32), task.inputs[4:]
    )
    assert labels.mean.shape == (36,)


def test_shares_of_a_task_begin_with_those_of_all() -> None:
    shares = LabelShares(np.array([0.75, 0.25]))
    np.testing.assert_allclose(shares.of_task(np.array([])), [0.75, 0.25])
    np.testing.assert_allclose(shares.of_task(np.array([1.0, 1.0, 1.0])), [0.1875, 0.8125])
    np.testing.assert_allclose(shares.of_task(np.array([2.0])), [0.375, 0.125, 0.5])
