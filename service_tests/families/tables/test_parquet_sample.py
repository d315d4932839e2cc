"""A Parquet file that is larger than what is read of it."""

from pathlib import Path

import numpy as np
import pytest

from app.families.tables.raw_table import RawTable
from app.families.tables.splits import hash_of

pa = pytest.importorskip("pyarrow", reason="an extra: pip install 'innerloop-server[tables]'")
TASKS, TASK_ROWS = 100, 10


def written(folder: Path, *, shuffled: bool, dictionary: bool = False) -> Path:
    from pyarrow import parquet

    rows = np.random.default_rng(0).permutation(TASKS * TASK_ROWS) if shuffled else np.arange(TASKS * TASK_ROWS)
    names = pa.array([f"t{row // TASK_ROWS}" for row in rows])
    columns = {"id": names.dictionary_encode() if dictionary else names, "x": rows.astype(float)}
    parquet.write_table(pa.table(columns), folder / "t.parquet", row_group_size=64)
    return folder / "t.parquet"


def sampled(path: Path, max_rows: int = 205) -> RawTable:
    from app.families.tables.parquet_rows import read_parquet

    return read_parquet(path, "id", max_rows)


@pytest.mark.parametrize("dictionary", [False, True])
@pytest.mark.parametrize("shuffled", [False, True])
def test_some_tasks_are_taken_with_all_their_rows(tmp_path: Path, shuffled: bool, dictionary: bool) -> None:
    table = sampled(written(tmp_path, shuffled=shuffled, dictionary=dictionary))
    assert (table.rows, table.total_rows, table.total_tasks) == (200, 1000, 100)
    names, counts = np.unique(table.columns["id"].astype(str), return_counts=True)
    assert counts.tolist() == [TASK_ROWS] * 20
    assert sorted(names) == sorted(sorted((f"t{task}" for task in range(TASKS)), key=hash_of)[:20])
    for name, row in zip(table.columns["id"], table.columns["x"], strict=True):
        assert name == f"t{int(row) // TASK_ROWS}"


def test_a_small_file_is_read_as_a_whole(tmp_path: Path) -> None:
    table = sampled(written(tmp_path, shuffled=True), 1000)
    assert (table.rows, table.total_rows) == (1000, None)


def test_the_summary_says_so(tmp_path: Path) -> None:
    from dataclasses import replace

    from app.families.tables.prepared_table import prepare
    from app.families.tables.table_spec import TableSpec
    from app.families.tables.table_summary import table_summary

    raw = sampled(written(tmp_path, shuffled=True))
    random = np.random.default_rng(0).normal(size=(2, raw.rows))
    raw = replace(raw, columns={"id": raw.columns["id"], "x": random[0], "y": random[1]})
    summary = table_summary(prepare(raw, TableSpec("id", "y")), (3,))
    assert summary.startswith("t.parquet: Parquet, 1,000 rows of 100 tasks, read: 200 rows.")
