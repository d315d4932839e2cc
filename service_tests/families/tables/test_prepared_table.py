"""What a table's columns are taken for, and what is said about those that cannot be used."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.errors import DataError
from app.families.tables.prepared_table import PreparedTable, prepare
from app.families.tables.raw_table import RawTable
from app.families.tables.read_table import read_table
from app.families.tables.table_spec import TableSpec
from service_tests.families.tables.made_up import Columns, csv_text, plain

pytest.importorskip("pyarrow", reason="an extra: pip install 'innerloop-server[tables]'")
COLUMNS = plain()
ROWS = len(COLUMNS["id"])
EMPTY: list[object] = [None] * ROWS


def table(folder: Path, columns: Columns, **spec: Any) -> PreparedTable:
    file = folder / "t.csv"
    quoted = {name: [_quoted(cell) for cell in cells] for name, cells in columns.items()}
    file.write_text(csv_text(quoted))
    return prepare(read_table(file), TableSpec(**{"task": "id", "target": "y", **spec}))


def _quoted(cell: object) -> object:
    return f'"{cell}"' if isinstance(cell, str) and "," in cell else cell


def changed(name: str, row: int, value: object) -> Columns:
    """The columns with another value in one cell. row: from 0 on; its line is 2 more"""
    return {**COLUMNS, name: [*COLUMNS[name][:row], value, *COLUMNS[name][row + 1 :]]}


def failure(folder: Path, columns: Columns, **spec: Any) -> str:
    with pytest.raises(DataError) as error:
        _ = table(folder, columns, **spec).features
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"target": "Y"}, '--target: expected a column of t.csv, got "Y": did you mean y?'),
        ({"task": "idd"}, '--task: expected a column of t.csv, got "idd": did you mean id?'),
        ({"inputs": ("weight",)}, '--inputs: expected a column of t.csv, got "weight": its columns are id, x, y'),
        ({"order": "time"}, '--order: expected a column of t.csv, got "time": its columns are id, x, y'),
        ({"categories": ("z",)}, '--categories: expected a column of t.csv, got "z"'),
        ({"task": ""}, "--task: expected a column, got none: name the column that says whose row it is: id, x, y"),
        ({"target": ""}, "--target: expected a column, got none: name the column to predict: id, x, y"),
        ({"target": "id"}, '--target: expected another column than --task, got "id"'),
        ({"inputs": ("x", "y")}, "--inputs: expected columns other than the target y, got y: leave it out"),
        ({"inputs": ("id",)}, "--inputs: expected columns other than the task id, got id: leave it out"),
        ({"inputs": ("x", "x")}, '--inputs: expected each column once, got "x" twice'),
        ({"order": "y"}, '--order: expected another column than --target, got "y"'),
        ({"order": "id"}, '--order: expected another column than --task, got "id"'),
        ({"kind": "regresion"}, '--kind: expected regression or classification, got "regresion"'),
        ({"decimal": ";"}, '--decimal: expected one of . or ,, got ";"'),
        ({"kind": "classification"}, "--target y: expected at most 100 labels, got 17"),
        ({"task": "x"}, "--task x: expected texts or whole numbers, got 0.126 in line 2: choose the column that says"),
    ],
)
def test_columns_that_are_named_wrongly(tmp_path: Path, spec: dict[str, Any], message: str) -> None:
    assert message in failure(tmp_path, COLUMNS, **spec)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (changed("x", 6, "abc"), 'line 8, x: expected a number, as in 179 other rows, got "abc": correct it, leave'),
        (changed("y", 6, "abc"), 'line 8, y: expected a number, as in 179 other rows, got "abc"'),
        (changed("x", 6, "inf"), "line 8, x: expected a finite number, got inf: leave the cell empty"),
        (changed("y", 6, "-Infinity"), "line 8, y: expected a finite number, got -Infinity"),
        (changed("x", 6, "1e300"), "line 8, x: expected a finite number, got 1e300: use another unit"),
        (changed("x", 6, "1,234"), "t.csv, x: expected numbers in one form, got 1,234, which may be a thousand"),
        ({**COLUMNS, "y": [1] * ROWS}, "--target y: expected values that differ, got 1 in every row"),
        ({**COLUMNS, "y": ["a"] * ROWS}, "--target y: expected values that differ, got 'a' in every row"),
        ({**COLUMNS, "y": EMPTY}, "--target y: expected a value in some rows, got none in any"),
        ({**COLUMNS, "id": EMPTY}, "--task id: expected a name in each row, got none in any"),
        ({**COLUMNS, "id": ["a"] * ROWS}, "--task id: expected several tasks, got one, 'a'"),
        ({**COLUMNS, "id": [*range(ROWS)]}, "--task id: expected several rows for each task, got another task in each"),
        ({**COLUMNS, "id": [row % 3 for row in range(ROWS)]}, "expected at least 5 tasks with 2 rows or more, got 3"),
        ({**COLUMNS, "x": EMPTY}, "t.csv: expected a column to predict the target from, got x: no values: add one"),
        ({**COLUMNS, "x": [2] * ROWS}, "got x: the same value in every row: add one"),
        ({"id": COLUMNS["id"], "y": COLUMNS["y"]}, "t.csv: expected a column to predict the target from, got none"),
        (
            {**COLUMNS, "y": [f"2020-01-{1 + row % 28:02d}" for row in range(ROWS)]},
            "expected numbers or labels, got dates",
        ),
    ],
)
def test_values_that_cannot_be_used(tmp_path: Path, columns: Columns, message: str) -> None:
    assert message in failure(tmp_path, columns)


def test_a_text_among_the_numbers_of_a_target(tmp_path: Path) -> None:
    """`--categories` makes labels of them, so it is named only where they are few."""
    few = {**COLUMNS, "y": ["n.d.", *(row % 9 for row in range(1, ROWS))]}
    assert failure(tmp_path, few).endswith("or add --categories y if they are labels")
    assert table(tmp_path, few, categories=("y",)).spec.kind == "classification"
    for columns, kind in ((few, "regression"), (changed("y", 0, "n.d."), "")):
        assert failure(tmp_path, columns, kind=kind).endswith("correct it, or leave the cell empty if it is missing")


def test_more_that_cannot_be_used(tmp_path: Path) -> None:
    assert "--inputs x: expected a value in some rows, got none in any: leave it out" in failure(
        tmp_path, {**COLUMNS, "x": EMPTY}, inputs=("x",)
    )
    yes = {**COLUMNS, "y": ["yes" if row % 2 else "no" for row in range(ROWS)]}
    assert "--target y: expected numbers, got 'no' in line 2: use --kind classification for labels" in failure(
        tmp_path, yes, kind="regression"
    )
    times = {**COLUMNS, "time": [None if row == 9 else row % 6 for row in range(ROWS)]}
    assert "--order time: expected a value in each row, got none in line 11: fill it in" in failure(
        tmp_path, times, order="time"
    )
    days = {**COLUMNS, "day": [f"{1 + row % 28}.3.2020" for row in range(ROWS)]}
    assert "--order day: expected numbers, dates or text that sorts, got '1.3.2020': write dates as" in failure(
        tmp_path, days, order="day"
    )


@pytest.mark.parametrize("scale", [1e22, 1e-20])
def test_a_target_on_a_scale_whose_squares_float32_lacks(tmp_path: Path, scale: float) -> None:
    message = failure(tmp_path, {**COLUMNS, "y": [float(str(y)) * scale for y in COLUMNS["y"]]})
    assert message.startswith("--target y: expected numbers with a standard deviation of 1e-18 to 1e+18, got ")
    assert message.endswith(": use another unit")


@pytest.mark.parametrize("unit", ["{} %", "${}"])
def test_a_target_with_units(tmp_path: Path, unit: str) -> None:
    columns = {**COLUMNS, "y": [unit.format(row % 50) for row in range(ROWS)]}
    for kind in ("", "regression"):
        assert f"write numbers without {unit.replace('{}', '').strip()}" in failure(tmp_path, columns, kind=kind)


def test_a_target_in_european_form(tmp_path: Path) -> None:
    columns = {**COLUMNS, "y": [f"1.{row:03d},5" for row in range(ROWS)]}
    assert table(tmp_path, columns).target.values[1] == 1001.5


def test_names_of_tasks_as_pandas_writes_them(tmp_path: Path) -> None:
    names = [f"{row // 6}.0" if row % 2 else row // 6 for row in range(ROWS)]
    assert len(table(tmp_path, {**COLUMNS, "id": names}).rows) == 30
    assert (
        "3.²0" in table(tmp_path, {**COLUMNS, "id": ["3.²0" if each == "t3" else each for each in COLUMNS["id"]]}).rows
    )
    composed = ["é" if row % 2 else "e\u0301" for row in range(6)]
    assert len(table(tmp_path, {**COLUMNS, "id": [*composed, *COLUMNS["id"][6:]]}).rows) == 30


def test_an_input_without_values_in_training(tmp_path: Path) -> None:
    held_out = table(tmp_path, COLUMNS).splits["test"][0]
    oil = [("new" if row % 2 else "old") if name == held_out else None for row, name in enumerate(COLUMNS["id"])]
    message = failure(tmp_path, {**COLUMNS, "oil": oil})
    assert message == "oil: expected a value in rows of training tasks, got none in any: leave it out with --inputs"


def test_numbers_in_quotes_are_no_target() -> None:
    columns = {"id": [f"t{row // 3}" for row in range(30)], "x": [row % 7 for row in range(30)]}
    raw = RawTable(
        "t.jsonl",
        "JSON lines",
        {name: np.array(each, object) for name, each in columns.items()}
        | {"y": np.array([str(row) for row in range(30)], object)},
    )
    with pytest.raises(DataError, match="--target y: expected numbers or labels, got '0' in row 1: write numbers"):
        prepare(raw, TableSpec("id", "y"))


def test_types_and_what_is_left_out(tmp_path: Path) -> None:
    columns = {
        **COLUMNS,
        "dose (mg)": [None if row == 3 else row % 5 for row in range(ROWS)],
        "ward": ["a" if row % 2 else "b" for row in range(ROWS)],
        "sick": ["true" if row % 3 else "False" for row in range(ROWS)],
        "day": [f"2020-01-{1 + row % 28:02d}" for row in range(ROWS)],
        "code": [row % 4 for row in range(ROWS)],
        "number": [*range(ROWS)],
        "note": [f"word {row}" for row in range(ROWS)],
        "taken": [f"{1 + row % 28:02d}.{1 + row // 28:02d}.2026 17:30" for row in range(ROWS)],
        "patient": [f"p{name}" for name in COLUMNS["id"]],
    }
    found = {column.name: column for column in table(tmp_path, columns, categories=("code",)).columns}
    types = {name: each.data.type for name, each in found.items() if each.data and not each.left_out}
    assert types == {
        "x": "number", "dose (mg)": "number", "ward": "category", "sick": "boolean", "day": "date", "code": "category"
    }  # fmt: skip
    assert found["dose (mg)"].options == {"type": "number", "unit": "mg", "may_be_missing": True}
    assert found["number"].left_out == "counts the rows"
    assert found["note"].left_out == "180 different texts, another in nearly each row"
    assert found["taken"].left_out.endswith("another in nearly each row; write dates as 2026-03-31")
    assert "names the task" in found["patient"].left_out


def test_a_column_names_the_task_although_a_cell_is_missing(tmp_path: Path) -> None:
    tasks = [int(str(name)[1:]) for name in COLUMNS["id"]]
    columns = {
        **COLUMNS,
        "patient": [None if row == 7 else f"p{task}" for row, task in enumerate(tasks)],
        "born": [f"19{task + 10}-03-01" for task in tasks],
        "half": [f"p{task}" if task < 15 else None for task in tasks],
    }
    found = {column.name: column.left_out[:14] for column in table(tmp_path, columns).columns}
    assert found == {"x": "", "patient": "names the task", "born": "names the task", "half": ""}


def test_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    names = [*COLUMNS["id"][:9], None, "alone", *COLUMNS["id"][11:]]
    columns = {**changed("y", 4, None), "id": names}
    prepared = table(tmp_path, columns)
    assert (prepared.without_task, prepared.without_target, prepared.small_tasks) == (1, 1, 1)
    assert sum(map(len, prepared.tasks())) == ROWS - 3


def test_rows_keep_the_order_of_the_file_or_of_the_column(tmp_path: Path) -> None:
    columns = {**COLUMNS, "time": [5 - row % 6 for row in range(ROWS)]}
    first = COLUMNS["y"][:6]
    assert table(tmp_path, columns).tasks()[0].targets[:, 0].tolist() == pytest.approx(first)
    assert table(tmp_path, columns, order="time").tasks()[0].targets[:, 0].tolist() == pytest.approx(first[::-1])


def test_a_missing_input_outside_of_training_can_be_encoded(tmp_path: Path) -> None:
    held_out = table(tmp_path, COLUMNS).splits["test"][0]
    row = COLUMNS["id"].index(held_out)
    features = table(tmp_path, changed("x", row, None)).features
    assert features.shape == (ROWS, 2)
    assert features[row, 1] == 1


@pytest.mark.parametrize(
    ("values", "kind", "labels"),
    [
        ([0, 1], "classification", ("0", "1")),
        (["yes", "no"], "classification", ("no", "yes")),
        (["true", "false"], "classification", ("False", "True")),
        ([0, 1, 2], "regression", ()),
    ],
)
def test_the_kind_is_as_the_target_looks(
    tmp_path: Path, values: list[object], kind: str, labels: tuple[str, ...]
) -> None:
    columns = {**COLUMNS, "y": [values[row % len(values)] for row in range(ROWS)]}
    prepared = table(tmp_path, columns)
    assert prepared.spec.kind == kind
    assert prepared.target.labels == labels
    assert table(tmp_path, {**COLUMNS, "y": [row % 2 for row in range(ROWS)]}, kind="regression").target.labels == ()


def test_the_same_rows_in_other_tasks_are_another_table(tmp_path: Path) -> None:
    names = [*COLUMNS["id"]]
    names[4:6] = [names[6], names[6]]
    sizes = {**COLUMNS, "id": sorted(names, key=str)}
    of_equal = {**COLUMNS, "id": sorted(COLUMNS["id"], key=str)}
    assert table(tmp_path, sizes).fingerprint != table(tmp_path, of_equal).fingerprint
    assert table(tmp_path, COLUMNS).fingerprint == table(tmp_path, COLUMNS).fingerprint
