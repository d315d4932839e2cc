"""The family of a table: what it draws, and from which rows."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from app.errors import DataError
from app.families.family import Samples, Split
from app.families.table import Table
from app.families.tables.table_spec import TableSpec
from app.training.tables.prepare_family import make_table, options_of
from app.training.tables.table_settings import TableSettings
from service_tests.families.tables.made_up import machines, write_csv

pytest.importorskip("pyarrow", reason="an extra: pip install 'innerloop-server[tables]'")


def family(folder: Path, **spec: Any) -> Table:
    """The family of a table of machines, in which `time` counts the rows of a machine down."""
    columns = machines(rows=8)
    count = len(columns["machine"])
    columns["time"] = [7 - row % 8 for row in range(count)]
    columns["hot"] = [("cold", "warm", "hot")[row % 3] for row in range(count)]
    file = write_csv(folder / "t.csv", columns)
    return make_table(TableSettings(file, TableSpec("machine", **{"target": "heat", **spec})))


def drawn(table: Table, examples: int = 5, split: Split = "training", **more: Any) -> Samples:
    return table.sample(50, examples, torch.Generator().manual_seed(0), split=split, **more)


def test_splits_have_no_rows_in_common(tmp_path: Path) -> None:
    table = family(tmp_path)
    rows = {split: {*map(tuple, drawn(table, split=split).inputs.flatten(0, 1).tolist())} for split in get_args(Split)}
    assert not rows["training"] & rows["test"]
    assert not rows["training"] & rows["validation"]
    assert not rows["validation"] & rows["test"]


def test_the_rows_of_a_task_are_different_ones(tmp_path: Path) -> None:
    inputs = drawn(family(tmp_path), 8).inputs
    assert all(len({*map(tuple, task.tolist())}) == 8 for task in inputs)


def test_with_an_order_the_first_rows_come_first(tmp_path: Path) -> None:
    table = family(tmp_path, order="time", inputs=("time", "load (kg)"))
    times = drawn(table, 4).inputs[..., 0]
    assert (times.diff(dim=1) > 0).all()
    assert times[:, 0].unique().numel() == 1


def test_tasks_of_different_sizes_are_padded(tmp_path: Path) -> None:
    columns = machines(rows=8)
    short = {name: cells[:-5] for name, cells in columns.items()}
    table = Table(task="machine", target="heat", data=write_csv(tmp_path / "t.csv", short))
    samples = [table.sample(300, 8, torch.Generator().manual_seed(0), split=split) for split in get_args(Split)]
    assert sum(bool(each.targets.isnan().any()) for each in samples) == 1


def test_labels_take_turns_and_only_the_last_rows_repeat(tmp_path: Path) -> None:
    table = family(tmp_path, target="hot")
    assert (table.kind, table.targets, table.max_ways, table.max_shots) == ("classification", 3, 3, 1)
    samples = drawn(table, 5, ways=3)
    assert torch.equal(samples.targets, torch.eye(3).repeat(50, 5, 1))
    first, *others = samples.inputs.unflatten(1, (5, 3)).unbind(1)
    assert all((first != each).any(-1).all() for each in others)


def test_labels_that_no_task_has_two_of(tmp_path: Path) -> None:
    columns = machines()
    columns["site"] = [f"s{name[-1]}" for name in map(str, columns["machine"])]
    settings = TableSettings(write_csv(tmp_path / "t.csv", columns), TableSpec("machine", "site"))
    with pytest.raises(DataError, match="--target site: expected at least 2 labels with 2 rows or more in most tasks"):
        make_table(settings)


def test_the_options_make_the_same_family(tmp_path: Path) -> None:
    table = family(tmp_path)
    again = Table(**options_of(table), data=tmp_path / "t.csv")
    assert again == table
    assert torch.equal(drawn(again).inputs, drawn(table).inputs)
    assert (again.features, again.target_names, again.target_units) == (9, ("heat",), ("",))


def test_it_is_said_if_the_table_is_another(tmp_path: Path) -> None:
    table = family(tmp_path)
    with pytest.raises(DataError, match="--data: expected the table that the tasks are from, got none"):
        _ = Table(**options_of(table)).prepared
    write_csv(tmp_path / "u.csv", machines(seed=1) | {"time": [1] * 360, "hot": ["hot", "cold"] * 180})
    with pytest.raises(DataError, match="--data: expected the table that the bundle was trained on, got another"):
        _ = Table(**options_of(table), data=tmp_path / "u.csv").prepared


def test_the_encoder_is_fitted_on_training_tasks_alone(tmp_path: Path) -> None:
    table = family(tmp_path)
    loads = np.concatenate([task.inputs[:, 0] for task in table.prepared.tasks("training")])
    assert loads.mean() == pytest.approx(0, abs=1e-5)
    assert loads.std() == pytest.approx(1, abs=1e-5)
