"""Values that lie too close together for float32."""

from pathlib import Path

import numpy as np
import pytest

from app.errors import DataError
from app.families.tables.cautions import cautions
from app.families.tables.float32_loss import distinct_in_tasks
from app.families.tables.prepared_table import prepare
from app.families.tables.read_table import read_table
from app.families.tables.table_spec import TableSpec
from service_tests.families.tables.made_up import Columns, plain, write_csv

pytest.importorskip("pyarrow", reason="an extra: pip install 'innerloop-server[tables]'")
COLUMNS = plain()
ROWS = len(COLUMNS["id"])


def said(folder: Path, columns: Columns) -> str:
    file = write_csv(folder / "t.csv", columns)
    return "\n".join(cautions(prepare(read_table(file), TableSpec("id", "y")), (3,)))


def test_values_of_tasks_are_counted() -> None:
    values = np.array([1.7e9, 1.7e9 + 0.5, 1.7e9 + 1000, 1.7e9, np.nan])
    assert distinct_in_tasks(values, np.array([0, 0, 0, 1, 1])) == (4, 3)


def test_a_target_with_a_large_offset(tmp_path: Path) -> None:
    columns = {**COLUMNS, "y": [1_700_000_000 + 0.5 * row for row in range(ROWS)]}
    with pytest.raises(
        DataError, match=r"--target y: expected values that differ in float32.*, 1700000000, and predic"
    ):
        said(tmp_path, columns)
    partly = {**COLUMNS, "y": [20_000_000 + 1.4 * row + row % 7 for row in range(ROWS)]}
    assert "y has 180 different values in its tasks, of which float32 keeps" in said(tmp_path, partly)


@pytest.mark.parametrize("step", [60, 60_000])
def test_inputs_in_seconds_or_milliseconds(tmp_path: Path, step: int) -> None:
    columns = {**COLUMNS, "time": [step * (28_000_000 + row) + row % 3 for row in range(ROWS)]}
    assert "time has 180 different values in its tasks, of which float32 keeps" in said(tmp_path, columns)
    assert "float32" not in said(tmp_path, COLUMNS)


def test_a_leak_in_few_rows(tmp_path: Path) -> None:
    columns = {name: values[:48] for name, values in COLUMNS.items()}
    columns["z"] = [2 * float(str(y)) + 1 for y in columns["y"]]
    text = said(tmp_path, columns)
    assert "z alone explains 100.0 % of how y varies" in text
    assert "x alone" not in text
