"""Few tasks are compared by cross-validation. A mixed model stands for the ensemble, which takes long to fit."""

from pathlib import Path

import pytest

from app.families.tables.table_spec import TableSpec
from app.training.tables import compare_few_tasks as module
from app.training.tables.baselines.all_baselines import all_baselines
from app.training.tables.baselines.mixed_model import MixedModel
from app.training.tables.prepare_family import make_table
from app.training.tables.table_settings import TableSettings
from service_tests.families.tables.made_up import machines, write_csv

pytest.importorskip("pyarrow", reason="an extra: pip install 'innerloop-server[tables]'")
pytest.importorskip("sklearn", reason="an extra: pip install 'innerloop-server[tables]'")


def test_each_task_is_held_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = all_baselines()[:1]
    monkeypatch.setattr(module, "all_baselines", lambda ordered: first)
    file = write_csv(tmp_path / "t.csv", machines(tasks=8, rows=6))
    table = make_table(TableSettings(file, TableSpec("machine", "heat")))
    comparison = module.compare_few_tasks(table, MixedModel(), (3,), lambda text: None)
    assert sorted(comparison.tasks) == sorted(table.prepared.rows)
    assert comparison.error("mixed model", 3).mean < comparison.error("task mean", 3).mean
