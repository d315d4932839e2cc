"""What becomes of each value before it is sent, and what is refused, with the field that it is in."""

import json
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix

from innerloop_client import UnsupportedInput
from innerloop_client.arrays import Array
from innerloop_client.body_encoding import encode, encode_line
from innerloop_client.inputs import read_values
from innerloop_client.msgpack import unpack
from innerloop_client.tables import read_table
from innerloop_client.value_encoding import plain

NAN = float("nan")
TABLE = {"name": "wards", "inputs": {"columns": [{"name": "a"}, {"name": "b"}]}}


def cyclic() -> list[Any]:
    values: list[Any] = [1]
    values.append(values)
    return values


def objects(*values: Any) -> np.ndarray:
    """An array of objects, of whatever type they are."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.True_, True),
        (np.array(2), 2),
        (objects("a", np.float32(1), pd.NA), ["a", 1.0, None]),
        ([1, (2, [pd.NA, pd.NaT])], [1, [2, [None, None]]]),
        ({1: np.int8(1), "b": {"c": pd.Timestamp("2020-01-01")}}, {"1": 1, "b": {"c": "2020-01-01T00:00:00"}}),
        (date(2020, 1, 2), "2020-01-02"),
        (np.datetime64("2020-01-02"), "2020-01-02"),
        (np.array(["2020-01-02", "NaT"], "M8[D]"), ["2020-01-02", None]),
        (np.ma.masked_array([1, 2], mask=[False, True]), [1.0, pytest.approx(NAN, nan_ok=True)]),
        (np.ma.masked_array(objects("a", "b"), mask=[False, True]), ["a", None]),
        (np.ma.masked_array([1, 2]), [1, 2]),
        (np.array([[0, 255]], np.uint8), [[0, 255]]),
        (torch.tensor([0.5], dtype=torch.bfloat16, requires_grad=True), [0.5]),
        (torch.tensor([0.5]).to(torch.float8_e4m3fn), [0.5]),
        (torch.tensor([1j]).conj().imag, [-1.0]),
    ],
    ids=repr,
)
def test_values(value: Any, expected: Any) -> None:
    sent = plain(value, "x")
    assert sent == expected
    assert encode({"x": sent})


REFUSED: list[tuple[Any, str]] = [
    (slice(1), "x: cannot send a value of type slice"),
    ([[slice(1)]], "x: cannot send a value of type slice"),
    (Fraction(10**400), "x: expected a number in the range of a float, got a larger one"),
    (Decimal("sNaN"), "x: expected a number, got sNaN: send None if it is missing"),
    (1j, "x: cannot send a value of type complex"),
    (np.array([1j]), "x: expected real numbers, got complex128"),
    (timedelta(1), "x: cannot send a value of type timedelta: send its total_seconds()"),
    (csr_matrix([[1.0]]), "x: cannot send a value of type csr_matrix: send its toarray"),
    (range(3), "x: cannot send a value of type range: send a list"),
    (np.timedelta64(1, "D"), "x: expected numbers, got durations"),
    ({"a": objects(slice(1))}, "x.a: cannot send a value of type slice"),
    ({("a", "b"): 1}, r"x: expected texts as names, got \('a', 'b'\)"),
    ({1: 1, "1": 2}, "x: expected each name once, got '1' twice"),
    ("\ud800", "x: expected Unicode, got half of a surrogate pair"),
    (["\ud800", NAN], "x: expected Unicode"),
    ({"\ud800": 1}, "x: expected Unicode"),
    (cyclic(), "x: expected at most 32 levels of lists"),
    (torch.ones(2).to_sparse(), "x: cannot read the Tensor .*to_dense"),
    (torch.ones(2, device="meta"), "x: cannot read the Tensor .*meta"),
    (torch.ones(2, dtype=torch.complex64).conj(), "x: expected real numbers"),
]


@pytest.mark.parametrize(("value", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_values_that_cannot_be_sent(value: Any, sentence: str) -> None:
    with pytest.raises(UnsupportedInput, match=sentence):
        plain(value, "x")


@pytest.mark.parametrize("size", [3, 5000])
def test_masked_numbers_are_not_a_number_at_any_size(size: int) -> None:
    values = read_values(np.ma.masked_array(np.ones((size, 2)), mask=np.tile([False, True], (size, 1))), "x")
    np.testing.assert_array_equal(values.values, [[1.0, NAN]] * size)


@pytest.mark.parametrize("values", [np.ones((2, 3, 3), np.uint8), torch.ones(2, 9, dtype=torch.uint8)])
def test_pixels_keep_their_type_at_any_size(values: Any) -> None:
    """As levels of gray from 0 to 255 are told from ink from 0 to 1 by it."""
    body, media = encode({"queries": read_values(values, "queries")})
    assert media == "application/msgpack"
    assert unpack(body)["queries"]["dtype"] == "uint8"
    assert b'"dtype":"uint8"' in encode_line({"queries": read_values(values, "queries")})
    numbers = read_values(values[0, 0] if values.ndim > 2 else values[0], "y")
    assert encode({"targets": numbers})[1] == "application/json"


def test_options_are_named() -> None:
    body = {"steps": np.int64(3), "learning_rate": np.float32(0.5), "pinned": np.True_, "inputs": Array(np.ones(2))}
    assert encode(body)[0] == b'{"steps":3,"learning_rate":0.5,"pinned":true,"inputs":[1.0,1.0]}'
    for write in (encode, encode_line):
        with pytest.raises(UnsupportedInput, match="ttl_s: cannot send a value of type timedelta"):
            write({"ttl_s": timedelta(1)})


def test_a_number_of_any_size_beside_one_that_is_not_finite() -> None:
    content, media = encode({"inputs": [2**70, NAN]})
    assert media == "application/json"
    assert json.loads(content)["inputs"] == [2**70, None]
    for wrong in (10**5000, -float("inf")):
        with pytest.raises(
            UnsupportedInput, match=r"^x\[1\]: expected a finite number, got (-inf|one that is too large)$"
        ):
            encode({"inputs": [2**70, wrong]})


def test_whole_numbers_of_any_size_stay_so_beside_arrays_and_images() -> None:
    """As a float, a label would not be a label."""
    content, media = encode({"inputs": [b"an image", Array(np.ones((2, 2), np.uint8))], "targets": [2**70, 2**63]})
    assert media == "application/json"
    raw = {"shape": [2, 2], "data": "AQEBAQ==", "dtype": "uint8"}
    assert json.loads(content) == {"inputs": ["YW4gaW1hZ2U=", raw], "targets": [2**70, 2**63]}


@pytest.mark.parametrize(
    ("a", "b", "sentence"),
    [
        (pd.interval_range(0, 1), [1], "of type Interval"),
        (pd.period_range("2020", periods=1), [1], "of type Period"),
        (pd.to_timedelta([1]), [1], "of type Timedelta"),
        ([slice(1)], [1], "of type slice"),
        ([1j], [1], "of type complex"),
    ],
    ids=str,
)
def test_cells_that_cannot_be_sent(a: Any, b: Any, sentence: str) -> None:
    (row,) = read_table(pd.DataFrame({"a": a, "b": b}), TABLE, "x")
    with pytest.raises(UnsupportedInput, match=rf"x\[0\].a: cannot send a value {sentence}"):
        plain(row, "x[0]")


def test_cells() -> None:
    frame = pd.DataFrame(
        {
            "a": objects(np.datetime64("2020-01-01"), np.array([1, 2]), [1, pd.NA], Decimal("0.5")),
            "b": pd.array([1, None, 2, 3], "Int64"),
        }
    )
    rows = [plain(row, "x") for row in read_table(frame, TABLE, "x")]
    assert rows == [
        {"a": "2020-01-01", "b": 1},
        {"a": [1, 2], "b": None},
        {"a": [1, None], "b": 2},
        {"a": 0.5, "b": 3},
    ]


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ([1, "1"], "x.columns: expected each name once, got '1' twice"),
        (["a", "a"], "x.columns: expected each name once, got 'a' twice"),
        (["a", 10**5000], "x.columns: expected short names, got a number of thousands of digits"),
        (pd.MultiIndex.from_tuples([("a", 1), ("a", 2)]), r"x.columns: expected texts as names, got \('a', 1\)"),
    ],
    ids=range(4),
)
def test_names_that_no_row_can_have(columns: Any, sentence: str) -> None:
    with pytest.raises(UnsupportedInput, match=sentence):
        read_table(pd.DataFrame([[1, 2]], columns=columns), TABLE, "x")


def test_ignored_columns_may_have_any_name() -> None:
    model = {"name": "wards", "inputs": {"columns": [{"name": "1"}], "ignore_extra": True}}
    assert read_table(pd.DataFrame([[5, 6, 7]], columns=[1, "a", "a"]), model, "x") == [{"1": 5}]
