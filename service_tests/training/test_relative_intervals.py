"""Intervals in standard deviations of each prediction, offline and over HTTP."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from fastapi.testclient import TestClient

from app.bundles.bundle import Bundle
from app.bundles.folder import load, write
from app.errors import BundleError
from app.families.table import Table
from app.families.tables.table_spec import TableSpec
from app.training.calibration import are_marked, distances_of, half_widths_of
from app.training.predictor import offline
from app.training.publish import with_calibration, with_ood_reference
from app.training.tables.baselines import boosting
from app.training.tables.bundle_regressor import BundleRegressor
from app.training.tables.ensemble import pooled
from app.training.tables.ensemble.fit import fit
from app.training.tables.ensemble.members import KINDS
from app.training.tables.prepare_family import make_table
from app.training.tables.scores import NORMAL_QUANTILE
from app.training.tables.table_settings import TableSettings
from app.training.tables.train_ensemble import ensemble_bundle
from app.training.tasks import Setting, draw_held_out
from service_tests.families.tables.made_up import machines

pytest.importorskip("pyarrow", reason="an extra: pip install 'innerloop-server[tables]'")
pytest.importorskip("sklearn", reason="an extra: pip install 'innerloop-server[tables]'")

SETTINGS = TableSettings(pd.DataFrame(machines(tasks=60)), TableSpec("machine", "heat"), (3, 5), name="heat")
QUICK = [kind for kind in KINDS if kind.name in ("offset", "mixed")]


@pytest.fixture(scope="module")
def table() -> Table:
    return make_table(SETTINGS)


@pytest.fixture(scope="module")
def bundle(table: Table) -> Bundle:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boosting, "MAX_ITERATIONS", 5)
        patch.setattr(pooled, "MAX_EPOCHS", 3)
        fitted = fit(table.prepared.tasks("training"), kinds=QUICK)
    made = ensemble_bundle(fitted, SETTINGS, table, {"recipe": {"family": "table"}})
    return with_calibration(with_ood_reference(made, table), table)


@pytest.mark.parametrize("shots", [1, 3, 7])
def test_they_cover_the_rows_of_new_tasks_and_mark_few(bundle: Bundle, table: Table, shots: int) -> None:
    tasks = draw_held_out(table, Setting(shots), torch.device("cpu"), tasks=60, queries=5)
    outputs = offline(bundle)(tasks, [1]).outputs[0]
    half_widths = half_widths_of(bundle, shots, tasks, None)
    covered = ((outputs - tasks.query.targets).abs() <= half_widths).double().mean().item()
    marked = are_marked(bundle, shots, tasks, distances_of(bundle, tasks)).double().mean().item()
    print(f"{shots} known rows: {covered:.1%} covered, {marked:.1%} marked")  # noqa: T201
    assert 0.8 < covered < 0.99
    assert marked < 0.08


def test_calibrating_again_keeps_them(bundle: Bundle, table: Table) -> None:
    assert with_calibration(bundle, table).manifest.calibration == bundle.manifest.calibration


def test_the_server_gives_the_same(
    bundle: Bundle, table: Table, tmp_path: Path, serve: Callable[..., TestClient]
) -> None:
    write(tmp_path / "heat", bundle.manifest, bundle.meta, bundle.encoder_arrays)
    assert load(tmp_path / "heat").manifest.calibration == bundle.manifest.calibration
    client, rows = serve(models_dir=tmp_path), table.prepared.rows
    name = table.prepared.splits["test"][0]
    objects, targets = table.prepared.as_objects(rows[name]), table.prepared.target.values[rows[name]].tolist()
    task = next(task for task in table.prepared.tasks("test") if task.name == name)
    for known in (0, 4):
        support = {"support": {"inputs": objects[:known], "targets": targets[:known]}} if known else {}
        body = {"model": "heat", "queries": objects[4:], "interval": 0.9, **support}
        answer = client.post("/predict", json=body).raise_for_status().json()
        expected = _half_widths(bundle, task.inputs, task.targets, known)
        for lower, upper, width in zip(answer["lower"], answer["upper"], expected, strict=True):
            assert lower[0] is None or upper[0] - lower[0] == pytest.approx(2 * width, rel=1e-3)
        assert any(lower[0] is not None for lower in answer["lower"])


def _half_widths(bundle: Bundle, inputs: np.ndarray, targets: np.ndarray, known: int) -> list[float]:
    variance = BundleRegressor("heat", bundle).predict(inputs[:known], targets[:known], inputs[4:]).variance
    assert variance is not None
    return [float(each) ** 0.5 * NORMAL_QUANTILE for each in variance]


def test_a_bundle_without_standard_deviations_cannot_have_them(bundle: Bundle, tmp_path: Path) -> None:
    write(tmp_path / "heat", replace(bundle.manifest, algorithm="ridge"), bundle.meta, bundle.encoder_arrays)
    with pytest.raises(
        BundleError, match=r"calibration\.relative: expected an algorithm that gives standard deviations"
    ):
        load(tmp_path / "heat")
