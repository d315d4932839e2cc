"""Rows of a table: columns side by side, in any order, missing where they may be."""

from typing import Any

import numpy as np
import pytest

from app.encoders.table import TableEncoder
from app.errors import Invalid, TrainingError
from service_tests.encoders.cases import PATIENTS, TABLE, patient

ENCODER = TableEncoder.fit(PATIENTS, **TABLE)


def test_the_types_are_those_of_the_training_rows() -> None:
    assert [(column.name, column.type_name, column.may_be_missing) for column in ENCODER.columns] == [
        ("age", "number", False),
        ("sex", "category", False),
        ("smoker", "boolean", False),
        ("seen", "date", False),
        ("dose", "number", True),
        ("ward", "category", False),
    ]
    assert ENCODER.feature_shape == (1 + 4 + 1 + 5 + 2 + 3,)


def test_the_description_is_what_a_client_has_to_know() -> None:
    assert ENCODER.describe() == {
        "encoder": "table",
        "shape": [16],
        "columns": [
            {"name": "age", "type": "number", "unit": "years", "min": 33.0, "max": 70.0, "may_be_missing": False},
            {"name": "sex", "type": "category", "unit": None, "categories": ["d", "f", "m"], "may_be_missing": False},
            {"name": "smoker", "type": "boolean", "unit": None, "categories": [False, True], "may_be_missing": False},
            {
                "name": "seen", "type": "date", "unit": None, "min": "2025-12-01", "max": "2026-03-01",
                "may_be_missing": False,
            },
            {"name": "dose", "type": "number", "unit": None, "min": 1.5, "max": 2.0, "may_be_missing": True},
            {"name": "ward", "type": "category", "unit": None, "categories": [3, 4], "may_be_missing": False},
        ],
        "ignore_extra": False,
        "example": {"age": 52.0, "sex": "d", "smoker": True, "seen": "2026-01-31", "dose": 1.75, "ward": 3},
    }  # fmt: skip


def test_the_canonical_form_is_values_in_the_order_of_the_columns() -> None:
    assert ENCODER.canonical(PATIENTS[:3]) == [
        [61.0, "f", True, "2026-01-31", 1.5, 3],
        [47.5, "m", False, "2026-02-28T12:30:00Z", None, 4],
        [70.0, "f", False, "2025-12-01", None, 3],
    ]


@pytest.mark.parametrize("dose", [None, float("nan"), ...])
def test_null_nan_and_no_value_are_missing(dose: Any) -> None:
    row = {key: value for key, value in patient(dose=dose).items() if value is not ...}
    assert ENCODER.canonical([row]) == ENCODER.canonical([patient(dose=None)])
    np.testing.assert_array_equal(ENCODER.encode([row]), ENCODER.encode([patient(dose=None)]))


def test_the_same_content_in_other_types_is_the_same() -> None:
    json = patient(age=0.1, ward=3)
    msgpack = patient(age=float(np.float32(0.1)), ward=3.0)
    numpy = patient(age=np.float32(0.1), ward=np.int64(3), smoker=np.bool_(True), sex=np.str_("f"))
    for row in (msgpack, numpy, list(json.values()), tuple(json.values())):
        kept = ENCODER.canonical([row])
        assert repr(kept) == repr(ENCODER.canonical([json]))


def test_extra_columns_are_left_out_if_the_bundle_says_so() -> None:
    encoder = TableEncoder.fit(PATIENTS, **TABLE, ignore_extra=True)
    np.testing.assert_array_equal(encoder.encode([patient(note="x")]), ENCODER.encode([patient()]))
    with pytest.raises(Invalid, match=r"did you mean age\?"):
        ENCODER.encode([patient(agee=1)])
    with pytest.raises(Invalid, match="leave it out"):
        ENCODER.encode([patient(zzz=1)])
    with pytest.raises(Invalid, match=r"^\[0\]: expected names of columns that are strings, got 1"):
        ENCODER.encode([patient() | {1: 2}])  # msgpack has keys of any type


def test_names_choose_the_columns_and_order_lists() -> None:
    encoder = TableEncoder.fit([[1.5, "a"], [2, "b"]], names=["x", "y"])
    np.testing.assert_array_equal(encoder.encode([[1.5, "a"]]), encoder.encode([{"y": "a", "x": 1.5}]))
    some = TableEncoder.fit(PATIENTS, names=["ward", "age"], ignore_extra=True)
    assert [column.name for column in some.columns] == ["ward", "age"]


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([[1.5]], {}, "expected training rows with named columns, got none"),
        ([{"a": 1}], {"columns": {"b": "number"}}, r"columns: expected a, each once, got \['b'\]"),
        ([{"a": 1}], {"columns": {"a": "complex"}}, "column a: type: expected one of boolean, category, date, number"),
        ([{"a": 1}], {"columns": {"a": {"impute": "mode"}}}, "column a: impute: expected mean or median, got 'mode'"),
        ([{"a": 1}], {"columns": {"a": {"scale": 1}}}, "column a: scale: expected a bool, got 1"),
        ([{"a": 1}], {"columns": {"a": {"foo": 1}}}, "column a: a number has the options unit, may_be_missing, impute"),
        ([{"a": 1}], {"names": ["a", "a"]}, "each once"),
        ([{"a": None}, {}], {}, "column a: expected a value in the training rows, got none: leave the column out"),
    ],
)
def test_options_that_do_not_fit_are_refused(rows: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        TableEncoder.fit(rows, **options)


def test_training_rows_are_checked_too() -> None:
    with pytest.raises(Invalid, match=r"^\[1\]\.a: expected a number, got a missing value: column a takes none"):
        TableEncoder.fit([{"a": 1}, {"a": None}], columns={"a": {"may_be_missing": False}})
    with pytest.raises(Invalid, match=r'^\[1\]\.a: expected a number, got "x"'):
        TableEncoder.fit([{"a": 1}, {"a": "x"}], columns={"a": "number"})
