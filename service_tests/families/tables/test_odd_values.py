"""Whole numbers beyond float64, times in nanoseconds, and types that no column has."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.errors import DataError
from app.families.tables.prepared_table import PreparedTable, prepare
from app.families.tables.read_table import read_table
from app.families.tables.table_spec import TableSpec

pa = pytest.importorskip("pyarrow", reason="an extra: pip install 'innerloop-server[tables]'")
TASKS, ROWS = 6, 4
LARGE = 2**60


def columns(**more: list[Any]) -> dict[str, list[Any]]:
    random = np.random.default_rng(0)
    return {
        "id": [f"t{row // ROWS}" for row in range(TASKS * ROWS)],
        "x": random.normal(size=TASKS * ROWS).tolist(),
        "y": random.normal(size=TASKS * ROWS).tolist(),
        **more,
    }


def prepared(frame: Any, **spec: Any) -> PreparedTable:
    return prepare(read_table(frame), TableSpec(**{"task": "id", "target": "y", **spec}))


def left_out(table: PreparedTable) -> dict[str, str]:
    return {column.name: column.left_out for column in table.columns if column.left_out}


@pytest.mark.parametrize("kind", ["int64", "uint64"])
def test_large_names_of_tasks_stay_apart(tmp_path: Path, kind: str) -> None:
    from pyarrow import parquet

    table = pa.table(columns(id=[LARGE + row // ROWS for row in range(TASKS * ROWS)]))
    index = table.column_names.index("id")
    table = table.set_column(index, "id", table.column("id").cast(kind))
    parquet.write_table(table, tmp_path / "t.parquet")
    expected = [str(LARGE + task) for task in range(TASKS)]
    assert [*prepared(tmp_path / "t.parquet").rows] == expected
    pandas = pytest.importorskip("pandas")
    assert [*prepared(pandas.DataFrame(table.to_pydict())).rows] == expected


def test_names_of_tasks_may_be_float() -> None:
    assert [*prepared(columns(id=[float(row // ROWS) for row in range(TASKS * ROWS)])).rows] == [*"012345"]


def test_rounded_names_of_tasks_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"--task id: expected whole numbers up to 9,007.*write the names of tasks as t"
    ):
        prepared(columns(id=[float(LARGE + 512 * (row // ROWS)) for row in range(TASKS * ROWS)]))
    with pytest.raises(DataError, match="--task id: expected texts or whole numbers, got inf in row 1"):
        prepared(columns(id=[float("inf")] * TASKS * ROWS))


@pytest.mark.parametrize("name", [[0], {"a": 0}, b"a"])
def test_names_of_tasks_are_no_lists_objects_or_bytes(name: object) -> None:
    match = rf"^--task id: expected texts or whole numbers, got a value of the type {type(name).__name__} in row 1"
    with pytest.raises(DataError, match=match):
        prepared(columns(id=[name] * (TASKS * ROWS)))


def test_large_inputs_are_not_merged_silently() -> None:
    frame = columns(count=[LARGE + row % 5 for row in range(TASKS * ROWS)])
    assert left_out(prepared(frame)) == {"count": "whole numbers that float64 merges"}
    table = prepared(frame, categories=("count",))
    assert [column.name for column in table.inputs] == ["x", "count"]
    assert table.inputs[1].data is not None
    assert table.inputs[1].data.distinct == 5
    for spec in ({"inputs": ("count",)}, {"target": "count", "inputs": ("x",)}):
        with pytest.raises(DataError, match=r"count: expected whole numbers up to 9,007.*: subtract the smallest"):
            prepared(frame, **spec)


def test_types_that_no_column_has_are_left_out() -> None:
    frame = columns(
        lists=[[1, 2]] * TASKS * ROWS,
        pairs=[{"a": 1}] * TASKS * ROWS,
        raw=[b"a"] * TASKS * ROWS,
        lasting=[timedelta(seconds=row) for row in range(TASKS * ROWS)],
    )
    found = left_out(prepared(frame))
    assert found["lists"] == "values of the type list"
    assert found["pairs"] == "values of the type dict"
    assert found["raw"] == "values of the type bytes"
    assert found["lasting"].startswith("values of the type ")
    with pytest.raises(
        DataError, match="lists: expected numbers, texts, true or false, or dates, got values of the ty"
    ):
        prepared(frame, inputs=("lists",))


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_times_of_pandas(tmp_path: Path, zone: str | None) -> None:
    pandas = pytest.importorskip("pandas")
    times = pandas.date_range("2026-01-01", periods=TASKS * ROWS, freq="90s", tz=zone).as_unit("ns")[::-1]
    frame = pandas.DataFrame(columns()).assign(when=times)
    frame.to_parquet(tmp_path / "t.parquet")
    for source in (frame, tmp_path / "t.parquet"):
        table = prepared(source, order="when")
        assert next(each for each in table.inputs if each.name == "when").options["type"] == "date"
        assert table.rows["t0"].tolist() == [3, 2, 1, 0]


def test_nanoseconds_are_a_date_but_no_order() -> None:
    pandas = pytest.importorskip("pandas")
    times = pandas.Timestamp("2026-01-01") + pandas.to_timedelta(np.arange(TASKS * ROWS), "ns")
    frame = pandas.DataFrame(columns()).assign(when=times)
    assert next(each for each in prepared(frame).inputs if each.name == "when").options["type"] == "date"
    with pytest.raises(DataError, match="--order when: expected times of at most six decimals"):
        prepared(frame, order="when")


def test_a_whole_number_of_400_digits(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    digits = "1" * 400
    file.write_text("".join(f'{{"id": "t{row // 4}", "x": {digits}, "y": {row}}}\n' for row in range(24)))
    with pytest.raises(DataError, match=r"line 1, x: expected a finite number, got 1{60}...: use another unit"):
        prepared(file)


def test_an_index_that_is_a_column_already() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(columns())
    assert [*read_table(frame.set_index("id", drop=False)).columns] == ["id", "x", "y"]
    assert [*read_table(frame.set_index(["id", "x"]).assign(x=1)).columns] == ["id", "y", "x"]
