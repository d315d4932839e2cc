"""What is printed before training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.families.tables.cautions import cautions
from app.families.tables.prepared_table import prepare
from app.families.tables.read_table import read_table
from app.families.tables.table_spec import TableSpec
from app.families.tables.table_summary import table_summary
from service_tests.families.tables.made_up import Columns, plain
from service_tests.families.tables.test_prepared_table import COLUMNS, ROWS, table

pytest.importorskip("pyarrow", reason="an extra: pip install 'innerloop-server[tables]'")


def test_a_row_for_each_column(tmp_path: Path) -> None:
    columns = {**COLUMNS, "dose (mg)": [None if row < 9 else row % 5 for row in range(ROWS)], "empty": [None] * ROWS}
    made = table(tmp_path, columns)
    lines = table_summary(made, (3, 5)).splitlines()
    assert lines[0] == "t.csv: CSV, separated by commas, UTF-8, 180 rows."
    assert "| id | text | none | the task |" in lines
    assert "| y | number, -3.772 to 3.066 (numbers) | none | the target |" in lines
    flagged = "| dose (mg) | number, in mg | 9 (5 %) | an input: the number, scaled and a flag where it is missing |"
    assert flagged in lines
    assert "| empty |  | 180 (100 %) | left out: no values |" in lines
    tested = ", ".join(sorted(made.splits["test"]))
    splits = f"Split by task: 22 for training, 4 for validation, 4 for test ({tested})."
    assert f"30 tasks (by id) with 6 rows each. {splits}" in lines
    assert "Take note:" not in lines


def test_names_of_tasks_with_commas_are_in_quotes(tmp_path: Path) -> None:
    made = table(tmp_path, {**COLUMNS, "id": [f"{name}, north" for name in COLUMNS["id"]]})
    tested = ", ".join(f'"{name}"' for name in sorted(made.splits["test"]))
    assert f"4 for test ({tested})." in table_summary(made, (3, 5))


def test_an_order_is_said(tmp_path: Path) -> None:
    columns = {**COLUMNS, "time": [row % 6 for row in range(ROWS)]}
    assert "sorted by time: the first are known, later ones are predicted" in table_summary(
        table(tmp_path, columns, order="time"), (3,)
    )


WARNINGS: dict[str, Columns] = {
    "There are only 12 tasks": {**plain(12)},
    "1 row without a y: left out": {**COLUMNS, "y": [None, *COLUMNS["y"][1:]]},
    "1 row without a id: left out": {**COLUMNS, "id": [None, *COLUMNS["id"][1:]]},
    "1 task with a single row: left out": {**COLUMNS, "id": ["alone", *COLUMNS["id"][1:]]},
    "z alone explains 100.0 % of how y varies": {**COLUMNS, "z": [2 * float(str(y)) + 1 for y in COLUMNS["y"]]},
    "word has 137 categories. The 100 most frequent are told apart": {
        **COLUMNS,
        "word": [f"w{row % 137}" for row in range(4 * ROWS)],
        **{name: [*cells] * 4 for name, cells in COLUMNS.items()},
    },
    "3 rows with the same inputs and target as another row": {
        name: [*cells, *cells[:3]] for name, cells in COLUMNS.items()
    },
    "y hardly varies: 96.7 % of the rows have the same value": {
        **COLUMNS, "y": [row if row % 30 == 0 else 0.5 for row in range(ROWS)]
    },
    "y is the same in all rows of a task in 30 tasks": {**COLUMNS, "y": [row // 6 + 0.5 for row in range(ROWS)]},
    "Its logarithm is usually easier to predict": {
        **COLUMNS, "y": [10.0 ** (row % 7 - 3) + 0.001 * row for row in range(ROWS)]
    },
}  # fmt: skip


@pytest.mark.parametrize("text", WARNINGS)
def test_what_spoils_results_is_said(tmp_path: Path, text: str) -> None:
    found = cautions(table(tmp_path, WARNINGS[text]), (3, 5))
    assert any(each.startswith(text) or text in each for each in found), found


def test_a_column_that_names_the_task_is_said_if_it_is_an_input(tmp_path: Path) -> None:
    columns = {**COLUMNS, "patient": [f"p{name}" for name in COLUMNS["id"]], "one": [1] * ROWS}
    found = cautions(table(tmp_path, columns, inputs=("x", "patient", "one")), (3, 5))
    assert found[0].startswith("patient names the task")
    assert found[1] == "one has the same value in every row, so it predicts nothing."


def test_small_tasks_are_said(tmp_path: Path) -> None:
    assert "30 tasks with at most 6 rows: with 6 known rows, nothing is left to predict there" in " ".join(
        cautions(table(tmp_path, COLUMNS), (3, 6))
    )


def test_larger_tasks_are_named_only_if_there_are_some(tmp_path: Path) -> None:
    """All have 6 rows; then one loses a row."""
    (all_alike,) = cautions(table(tmp_path, COLUMNS), (3, 6))
    assert all_alike.endswith("nothing is left to predict there. No task has more.")
    shorter = {name: cells[1:] for name, cells in COLUMNS.items()}
    assert cautions(table(tmp_path, shorter), (3, 5)) == [
        "1 task with at most 5 rows: with 5 known rows, nothing is left to predict there. Errors with so many are "
        "those of the 29 tasks with more rows."
    ]


def test_names_of_files_are_printed_as_they_are(tmp_path: Path) -> None:
    for task, name in enumerate("abcdef"):
        (tmp_path / f"{name}.csv").write_text(f"row,x,y\n,1,{task}\n,2,5\n,3,7\n")
    (tmp_path / "s999.csv").write_text("")
    lines = table_summary(prepare(read_table(tmp_path), TableSpec("", "y", ("x",))), (2,)).splitlines()
    assert lines[1] == "s999.csv has no rows: left out."
    noted = replace(read_table(tmp_path), notes=("the cell a of line 3 has 5 lines",))
    assert table_summary(prepare(noted, TableSpec("", "y", ("x",))), (2,)).splitlines()[1].startswith("The cell a")


def test_the_share_of_a_column_is_said_of_what_it_holds_for(tmp_path: Path) -> None:
    """Offsets of tasks that x does not know, and a column that only a third of the rows have."""
    random = np.random.default_rng(0)
    x = random.normal(size=ROWS).round(3).tolist()
    shifted = [round(each + 3 * (row // 6 % 5), 3) for row, each in enumerate(x)]
    found = cautions(table(tmp_path, {**COLUMNS, "x": x, "y": shifted}), (3, 5))
    assert found[0].startswith("x alone explains 100.0 % of how y varies within a task. If it is known only after"), (
        found
    )
    some = [y if row % 3 == 0 else None for row, y in enumerate(COLUMNS["y"])]
    (caution,) = cautions(table(tmp_path, {**COLUMNS, "z": some}), (3, 5))
    assert "of how y varies where it is not missing." in caution


def test_equal_values_of_the_order_are_said(tmp_path: Path) -> None:
    days = [row % 6 for row in range(ROWS)]
    assert not cautions(table(tmp_path, {**COLUMNS, "day": days}, order="day", inputs=("x",)), (3, 5))
    days[1] = 0
    (caution,) = cautions(table(tmp_path, {**COLUMNS, "day": days}, order="day", inputs=("x",)), (3, 5))
    assert caution.startswith("day has the same value in several rows of 1 task. They keep the order of the table")


def test_names_of_columns_do_not_break_the_table(tmp_path: Path) -> None:
    lines = table_summary(table(tmp_path, {**COLUMNS, "a|b": COLUMNS["x"], '"c\nd"': COLUMNS["x"]}), (3,)).splitlines()
    assert "| a\\|b | number | none | an input: the number, scaled |" in lines
    assert "| c d | number | none | an input: the number, scaled |" in lines
