"""Numbers in the forms that people write, and what could be read in two ways."""

import numpy as np
import pytest

from app.errors import DataError
from app.families.tables.column_data import read_column
from app.families.tables.number_text import read_numbers, units_in
from app.families.tables.raw_table import RawTable


@pytest.mark.parametrize(
    ("cells", "values", "note", "decimal"),
    [
        (["1.5", "-2e3", "+.5", "7"], [1.5, -2000, 0.5, 7], "", ""),
        (["1,5", "-2", "0,25"], [1.5, -2, 0.25], "decimal commas", ""),
        (["1,234,567", "-1,000", "999"], [1234567, -1000, 999], "commas between thousands", ""),
        (["1,234.5", "99.25"], [1234.5, 99.25], "commas between thousands", ""),
        (["1 234", "12 345,5"], [1234, None], "thousands separated by spaces", ""),
        (["1'234.5", "2’000"], [1234.5, 2000], "thousands separated by apostrophes", ""),
        (["\u22121.5", "2"], [-1.5, 2], "", ""),
        (["1.234,5", "2"], [1234.5, 2], "decimal commas", ""),
        (["1.234.567", "999"], [1234567, 999], "decimal commas", ""),
        (["1.234,5", "2"], [1234.5, 2], "decimal commas", ","),
        (["1.234", "2.345"], [1234, 2345], "decimal commas", ","),
        (["1,234", "2,345"], [1.234, 2.345], "decimal commas", ","),
        (["0.5", "0.25"], [0.5, 0.25], "", ","),
        (["1,5", "2,25"], [1.5, 2.25], "decimal commas", "."),
        (["1,234", "2,345"], [1234, 2345], "commas between thousands", "."),
    ],
)
def test_numbers_in_other_forms(cells: list[str], values: list[float | None], note: str, decimal: str) -> None:
    reading = read_numbers(cells, decimal)
    np.testing.assert_allclose(reading.numbers, np.array(values, np.float64))
    assert (reading.note, reading.ambiguous) == (note, "")


@pytest.mark.parametrize(
    ("cells", "ambiguous"),
    [(["1,234", "2345"], "1,234 beside 2345"), (["1,234", "5"], "1,234, which may be a thousand times as much")],
)
def test_numbers_that_can_be_read_in_two_ways(cells: list[str], ambiguous: str) -> None:
    assert read_numbers(cells).ambiguous == ambiguous


def numbers(cells: list[str], *, beside: list[str], form: str = "CSV", decimal: str = "") -> list[float]:
    """A column of numbers in a table with another column."""
    raw = RawTable("t.csv", form, {"x": np.array(cells, object), "z": np.array(beside, object)}, is_text=True)
    values: list[float] = read_column(raw, "x", decimal=decimal).values.tolist()
    return values


THOUSANDS = ["1.234", "2.500", "999", "12.000"]


def test_another_column_tells_what_marks_are() -> None:
    assert numbers(["1,234", "2,345"], beside=["0,5", "1,5"]) == [1.234, 2.345]
    assert numbers(THOUSANDS, beside=["0,5"] * 4) == [1234, 2500, 999, 12000]
    assert numbers(THOUSANDS, beside=["0.5"] * 4, form="CSV, separated by semicolons") == [1.234, 2.5, 999, 12]
    assert numbers(THOUSANDS, beside=["7"] * 4) == [1.234, 2.5, 999, 12]
    assert numbers(THOUSANDS, beside=["0.5"] * 4, decimal=",") == [1234, 2500, 999, 12000]
    assert numbers(THOUSANDS, beside=["0,5"] * 4, decimal=".") == [1.234, 2.5, 999, 12]


@pytest.mark.parametrize(
    ("cells", "beside", "decimal", "actual"),
    [
        (THOUSANDS, ["7"] * 4, "", "1.234, which may be a thousand times as much: say --decimal ,"),
        ([*THOUSANDS[:3], "2345"], ["0,5"] * 4, "", "1.234 beside 2345: say --decimal ,"),
        (["1.4258", "3.901", "4.154"], ["7"] * 3, ",", "1.4258 beside 3.901: write them all as --decimal , says"),
        (["1.4258", "3,9", "4"], ["7"] * 3, ",", "1.4258 beside 3,9: write them all as --decimal , says"),
    ],
)
def test_what_no_column_tells_is_an_error(cells: list[str], beside: list[str], decimal: str, actual: str) -> None:
    with pytest.raises(DataError) as error:
        numbers(cells, beside=beside, form="CSV, separated by semicolons", decimal=decimal)
    assert f"t.csv, x: expected numbers in one form, got {actual}" in str(error.value)


def test_columns_that_disagree_tell_nothing() -> None:
    columns = {"x": ["1.234", "2.345"], "z": ["0,5", "1,5"], "w": ["0.5", "1.5"]}
    raw = RawTable("t.csv", "CSV", {name: np.array(each, object) for name, each in columns.items()}, is_text=True)
    with pytest.raises(DataError, match=r"got 1\.234, beside decimal commas and points in other columns"):
        read_column(raw, "x")


def test_units_beside_numbers() -> None:
    assert units_in(["$5", "$1,234.50", "$7"]) == "$"
    assert units_in(["5 %", "7 %"]) == "%"
    assert units_in(["5", "7"]) == ""
    assert units_in(["$ale", "$old"]) == ""
