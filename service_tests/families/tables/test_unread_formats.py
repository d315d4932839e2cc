"""Texts that look like numbers, dates or times, and ordinary texts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.families.tables.cautions import cautions
from app.families.tables.column_data import ColumnData
from app.families.tables.prepared_table import prepare
from app.families.tables.raw_table import RawTable
from app.families.tables.table_spec import TableSpec
from app.families.tables.unread_formats import written_form
from service_tests.families.tables.test_prepared_table import COLUMNS, ROWS, failure, table

pytest.importorskip("pyarrow", reason="an extra: pip install 'innerloop-server[tables]'")


def category(values: Sequence[object]) -> ColumnData:
    return ColumnData("x", "category", np.array(values, object))


@pytest.mark.parametrize(
    ("values", "looks"),
    [
        (["5 kg", "3.20 kg", "1,200 kg", None], "numbers with kg"),
        (["5kg", "6kg"], "numbers with kg"),
        (["5 kg", "300 g", "7 g"], "numbers with kg and g"),
        (["5%", "-6 %"], "numbers with %"),
        (["$5", "$1,250.50"], "numbers with $"),
        (["5 \u20ac", "6 \u20ac"], "numbers with \u20ac"),
        (["EUR 5", "EUR 6"], "numbers with EUR"),
        (["5 mg/dL", "6 mg/dL"], "numbers with mg/dL"),
        ([*(f"{row} kg" for row in range(19)), "unknown"], "numbers with kg"),
        (["19.05.2024", "20.05.2024"], "dates"),
        (["5/19/24", "12/1/24"], "dates"),
        (["19.05.", "20.05."], "dates"),
        (["2024/05/19 14:30", "2024/05/20 14:30"], "dates"),
        (["2024-05", "2024-11"], "dates"),
        (["2024-05-19", "2024-05"], "dates"),
        (["2024-W20", "2024-W21"], "dates"),
        (["Q1 2024", "Q2 2024"], "dates"),
        (["19 May 2024", "3. M\u00e4rz 2024"], "dates"),
        (["May 19, 2024", "Jun 3, 2024"], "dates"),
        (["19-May-24", "19MAY2024", "May-24"], "dates"),
        (["14:00", "9:30:15"], "times"),
        (["2 pm", "2:30 p.m."], "times"),
    ],
)
def test_what_texts_look_like(values: Sequence[object], looks: str) -> None:
    form = written_form(category(values))
    assert form is not None
    assert form.looks == looks


@pytest.mark.parametrize(
    "values",
    [
        ["new", "old"],
        ["5 kg", "5 kg"],
        ["5 kg", "6 kg", "many"],
        ["1a", "2b", "3a"],
        ["1st", "2nd"],
        ["10-19", "20-29"],
        ["Ford 1998", "Audi 2004"],
        ["decile 10", "decile 11"],
        ["May", "June"],
        ["A1", "A2"],
        ["1. Industrial", "2. Information"],
        [*["1.2", "4.9"] * 9, "<1.2"],
        ["12:00 or so", "late"],
        [5, 6],
    ],
)
def test_ordinary_texts(values: Sequence[object]) -> None:
    assert written_form(category(values)) is None


def test_a_column_that_may_be_meant_as_numbers_is_said(tmp_path: Path) -> None:
    columns = {**COLUMNS, "dose": [f"{row % 7} mg" for row in range(ROWS)]}
    (caution,) = cautions(table(tmp_path, columns), (3, 5))
    assert caution == (
        "dose looks like numbers with mg, but is read as 7 categories. If they are not names, write numbers without "
        "mg; a unit may stand in the name of the column, as in dose (mg)."
    )
    assert not cautions(table(tmp_path, columns, categories=("dose",)), (3, 5))


def test_a_column_of_many_such_texts_is_left_out_with_the_fix(tmp_path: Path) -> None:
    doses = {**COLUMNS, "x": [f"{row}.50 kg" for row in range(ROWS)]}
    message = failure(tmp_path, doses)
    assert "another in nearly each row; write numbers without kg; a unit may stand in the name" in message
    assert message.endswith("write one of them so, or add another")


def test_numbers_in_quotes_are_said() -> None:
    def found(xs: list[str]) -> list[str]:
        names = [f"t{row // 6}" for row in range(180)]
        columns: dict[str, Any] = {"id": names, "x": xs, "y": [float(y) for y in COLUMNS["y"]]}  # type: ignore[arg-type]
        arrays = {name: np.array(each, object) for name, each in columns.items()}
        return cautions(prepare(RawTable("t.jsonl", "JSON lines", arrays), TableSpec("id", "y")), (3, 5))

    (caution,) = found([str(row % 7) for row in range(180)])
    assert caution.startswith(
        "x looks like numbers in quotes, but is read as 7 categories. If they are not names, write"
    )
    assert not found([f"{row % 7:03d}" for row in range(180)])


def test_a_target_of_such_texts(tmp_path: Path) -> None:
    for value, fix in (("{} kg", "write numbers without kg"), ("14:{:02d}", "write times as numbers")):
        columns = {**COLUMNS, "y": [value.format(row % 9) for row in range(ROWS)]}
        message = failure(tmp_path, columns)
        assert "--target y: expected numbers or labels, got" in message
        assert fix in message
        assert message.endswith("or add --kind classification if they are labels")
        assert len(table(tmp_path, columns, kind="classification").target.labels) == 9


def test_codes_with_leading_zeros_are_said(tmp_path: Path) -> None:
    columns = {**COLUMNS, "ward": [f"{row % 13:03d}" for row in range(ROWS)]}
    (caution,) = cautions(table(tmp_path, columns), (3, 5))
    assert caution == "ward has numbers that begin with 0, such as 000. If they are codes, add --categories ward."
    coded = table(tmp_path, columns, categories=("ward",))
    assert not cautions(coded, (3, 5))
    assert coded.as_objects(np.array([1]))[0]["ward"] == "001"


def test_labels_with_leading_zeros_are_said(tmp_path: Path) -> None:
    columns = {**COLUMNS, "y": [f"{1 + row % 3:03d}" for row in range(ROWS)]}
    assert "y has numbers that begin with 0, such as 001. If they are labels, add --categories y." in cautions(
        table(tmp_path, columns), (3, 5)
    )
    labelled = table(tmp_path, columns, categories=("y",))
    assert labelled.target.labels == ("001", "002", "003")
    assert not any("begin with 0" in each for each in cautions(labelled, (3, 5)))
