"""Fitting an ensemble: it is reproducible, can be resumed, learns a task's offset, and is what is served."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from app.bundles.folder import load
from app.errors import TrainingError
from app.families.task_rows import TaskRows
from app.learn.update_rules import Params
from app.service.model import Model
from app.service.task import Task
from app.training.tables.ensemble import training_rows
from app.training.tables.ensemble.feature_kinds import perceptron_features, radial_features
from app.training.tables.ensemble.fit import FittedEnsemble, fit
from app.training.tables.ensemble.members import KINDS, MemberKind
from app.training.tables.ensemble.predictor import predictor
from app.training.tables.ensemble.stages import Progress
from service_tests.device import DEVICE
from service_tests.training.tables.ensemble.fitted_bundle import write_fitted
from service_tests.training.tables.made_up_tables import table_of_offsets

LEARNED = (
    MemberKind("learned", learned=lambda inputs: perceptron_features(hidden=(8,), outputs=4, steps=20)),
    MemberKind("process", "mixture", True, learned=lambda inputs: radial_features(inputs, points=6, steps=20)),
)
QUICK: Sequence[MemberKind] = (*(kind for kind in KINDS if kind.learned is None), *LEARNED)
"""Every kind of member, with little training."""
TABLE = table_of_offsets(tasks=12, rows=12)
pytestmark = pytest.mark.usefixtures("little_work")


@pytest.fixture(scope="module")
def fitted(little_work: None) -> FittedEnsemble:
    return fit(TABLE, kinds=QUICK)


def errors(fitted: FittedEnsemble, known: int) -> float:
    predict, fresh = predictor(fitted), table_of_offsets(tasks=20, rows=12, seed=1)
    away = [
        predict(task.inputs[:known], task.targets[:known], task.inputs[known:])[0] - task.targets[known:, 0]
        for task in fresh
    ]
    return float(np.mean(np.square(np.concatenate(away))))


def test_known_rows_teach_the_offset_of_a_task(fitted: FittedEnsemble) -> None:
    """The variance of offsets is 4, that of noise 1."""
    assert errors(fitted, known=10) < 2 < 3 < errors(fitted, known=0)


def test_the_seed_decides_and_kept_stages_are_not_run_again(fitted: FittedEnsemble) -> None:
    kept: dict[str, Params] = {}
    reports: list[Progress] = []
    again = fit(TABLE, kinds=QUICK, kept=kept, progress=reports.append)
    assert all(torch.equal(value, again.meta[name]) for name, value in fitted.meta.items())
    assert [each.share for each in reports] == sorted(each.share for each in reports)
    assert reports[0].share == 0
    last = kept.pop("all tasks: process")
    resumed = fit(TABLE, kinds=QUICK, kept=kept)
    assert all(torch.equal(value, resumed.meta[name]) for name, value in fitted.meta.items())
    assert kept["all tasks: process"].keys() == last.keys()


def test_a_large_table_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_rows, "MAX_TASK_ROWS", 8)
    used = training_rows.bounded(TABLE, ordered=True, seed=0)
    assert [len(task) for task in used] == [8] * 12
    assert all(np.array_equal(task.inputs[:2], whole.inputs[:2]) for task, whole in zip(used, TABLE, strict=True))
    monkeypatch.setattr(training_rows, "MAX_ROWS", 30)
    assert len(training_rows.bounded(TABLE, ordered=False, seed=0)) == 3


def test_the_bundle_serves_what_the_predictor_says(tmp_path: Path, fitted: FittedEnsemble) -> None:
    write_fitted(tmp_path, fitted)
    model = Model(load(tmp_path), DEVICE)
    parts = [
        (task.inputs[:known], task.targets[:known], task.inputs[known:])
        for known, task in zip((1, 3, 9), TABLE, strict=False)
    ]
    states, _ = model.adapt([Task(inputs, targets, 1, 1.0) for inputs, targets, _ in parts])
    answers = model.predict(states, [queries for *_, queries in parts])
    spreads = model.spread(states, [queries for *_, queries in parts])
    for answer, spread, part in zip(answers, spreads, parts, strict=True):
        mean, variance = predictor(fitted)(*part)
        np.testing.assert_allclose(answer[:, 0], mean, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(spread[:, 0], np.sqrt(variance), rtol=1e-4)


def in_units(unit: float, origin: float = 0.0) -> list[TaskRows]:
    """TABLE with other targets and, by the unit, other inputs."""
    return [
        TaskRows(
            task.name,
            (task.inputs * unit).astype(np.float32),
            (task.targets.astype(np.float64) * unit + origin).astype(np.float32),
        )
        for task in TABLE
    ]


@pytest.mark.parametrize(("unit", "origin"), [(1e-9, 0.0), (1e9, 0.0), (1.0, 1e6)])
def test_members_see_the_same_rows_in_other_units(unit: float, origin: float) -> None:
    """But for rounding: numbers near a million have 4 binary digits behind the point in float32."""
    plain, other = (
        training_rows.standardised(tasks, training_rows.scales_of(tasks)) for tasks in (TABLE, in_units(unit, origin))
    )
    np.testing.assert_allclose(other.inputs, plain.inputs, atol=1e-5)
    np.testing.assert_allclose(other.targets, plain.targets, atol=0.03 if origin else 1e-5)


def test_units_make_no_difference() -> None:
    """Multiples by a power of 2 are exact in floating point, so nothing is rounded otherwise."""
    unit, kinds = 2.0**-30, [kind for kind in QUICK if kind.name in ("offset", "splines")]
    plain, scaled = fit(TABLE[:6], kinds=kinds), fit(in_units(unit)[:6], kinds=kinds)
    task, other = TABLE[0], in_units(unit)[0]
    mean, variance = predictor(scaled)(other.inputs[:3], other.targets[:3], other.inputs[3:])
    expected = predictor(plain)(task.inputs[:3], task.targets[:3], task.inputs[3:])
    np.testing.assert_allclose(mean / unit, expected[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(variance / unit**2, expected[1], rtol=1e-4)


def test_targets_whose_squares_float32_does_not_hold_are_refused_before_the_work() -> None:
    reason = r"targets\.scale\.std\[0\]: expected 1e-18 to 1e\+18, got .*e-25; write the target in another unit"
    with pytest.raises(TrainingError, match=reason):
        fit(in_units(1e-25), kinds=QUICK)


def test_a_task_of_one_row_is_left_out() -> None:
    lonely = TaskRows("lonely", np.ones((1, 2), np.float32), np.full((1, 1), 1e6, np.float32))
    assert [task.name for task in training_rows.bounded([lonely, *TABLE], ordered=False, seed=0)] == [
        task.name for task in TABLE
    ]


def test_neither_the_order_of_rows_nor_other_queries_change_a_prediction(fitted: FittedEnsemble) -> None:
    predict, (task, *_) = predictor(fitted), table_of_offsets(tasks=1, rows=12, seed=2)
    x, y, queries = task.inputs[:5], task.targets[:5], task.inputs[5:]
    mean, _ = predict(x, y, queries)
    shuffled = np.array([3, 1, 4, 0, 2])
    np.testing.assert_allclose(predict(x[shuffled], y[shuffled], queries)[0], mean, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(predict(x, y, queries[2:3])[0], mean[2:3], rtol=1e-5, atol=1e-5)
    assert np.abs(predict(x[:4], y[:4], queries)[0] - mean).max() > 1e-3
