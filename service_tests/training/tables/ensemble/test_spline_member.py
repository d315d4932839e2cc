"""The member of splines is the baseline "mixed model on splines"."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from app.families.task_rows import TaskRows
from app.learn.ensemble_network import Splines
from app.training.tables.baselines import boosting
from app.training.tables.baselines.mixed_model import MixedModel
from app.training.tables.baselines.splines import Hinges, SplineMixedModel
from app.training.tables.ensemble import pooled, spline_member
from app.training.tables.ensemble.fit import FittedEnsemble, fit
from app.training.tables.ensemble.members import KINDS
from app.training.tables.ensemble.predictor import predictor
from app.training.tables.ensemble.spline_member import fit_splines
from app.training.tables.ensemble.training_rows import TrainingRows, scales_of, standardised
from service_tests.training.tables.made_up_tables import table_of_offsets


def standard_table() -> list[TaskRows]:
    """Targets of mean 0 and variance 1: the baseline shrinks its constant to 0, the member to the mean."""
    table = table_of_offsets(tasks=12, rows=12)
    targets = np.concatenate([task.targets for task in table])
    return [TaskRows(task.name, task.inputs, (task.targets - targets.mean()) / targets.std()) for task in table]


TABLE = standard_table()


@pytest.fixture(autouse=True, scope="module")
def little_work() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boosting, "MAX_ITERATIONS", 5)
        patch.setattr(pooled, "MAX_EPOCHS", 3)
        yield


def rows_of(table: list[TaskRows]) -> TrainingRows:
    return standardised(table, scales_of(table))


def without_knots(table: list[TaskRows]) -> list[TaskRows]:
    """Columns of two values each."""
    return [TaskRows(task.name, np.sign(task.inputs), task.targets) for task in table]


def fit_alone(table: list[TaskRows]) -> FittedEnsemble:
    return fit(table, kinds=[kind for kind in KINDS if kind.name == "splines"])


def test_the_features_are_the_basis_of_the_baseline() -> None:
    rows = rows_of(TABLE)
    params, _ = fit_splines(rows, rows.targets)
    hinges = Hinges.fit(rows.inputs)
    network = Splines(2, hinges=8)
    network.load_state_dict(params)
    expected = MixedModel().fit(_mapped(hinges, TABLE, rows)).standardisation.apply(hinges.apply(rows.inputs))
    features = network(torch.from_numpy(rows.inputs)).detach().numpy()
    np.testing.assert_allclose(features, expected, atol=1e-5)


def _mapped(hinges: Hinges, table: list[TaskRows], rows: TrainingRows) -> list[TaskRows]:
    inputs = np.split(hinges.apply(rows.inputs), rows.starts[1:-1])
    return [TaskRows(task.name, each, task.targets) for task, each in zip(table, inputs, strict=True)]


@pytest.mark.parametrize("table", [TABLE, without_knots(TABLE)], ids=["knots", "no knots"])
def test_alone_it_predicts_as_the_baseline(table: list[TaskRows]) -> None:
    predict, baseline = predictor(fit_alone(table)), SplineMixedModel().fit(table)
    for task, known in zip(table, (0, 1, 5, 10), strict=False):
        x, y, queries = task.inputs[:known], task.targets[:known], task.inputs[known:]
        expected = baseline.predict(x, y, queries)
        mean, variance = predict(x, y, queries)
        assert expected.variance is not None
        np.testing.assert_allclose(mean, expected.mean, atol=1e-3)
        ratio = variance / expected.variance  # of the scale that makes intervals cover
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)


def test_many_tasks_are_thinned_out(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(TABLE)
    monkeypatch.setattr(spline_member, "MAX_TASKS", 3)
    few, _ = fit_splines(rows, rows.targets)
    chosen, _ = fit_splines(rows.of_tasks(np.array([0, 6, 11])), rows.targets[rows.rows_of(np.array([0, 6, 11]))])
    assert all(torch.equal(value, chosen[name]) for name, value in few.items())
