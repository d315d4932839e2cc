"""Rows of numbers: what the server takes today gives the same values, and more types are taken."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from app.encoders.encoder import StateError
from app.encoders.numbers import NumbersEncoder
from app.errors import Invalid, TrainingError

PAIR = NumbersEncoder((2,))
FLOATS = arrays.arrays(np.float32, (5, 2), elements=st.floats(width=32, allow_nan=False, allow_infinity=False))


@given(FLOATS)
def test_numbers_pass_as_the_nearest_float32(rows: np.ndarray) -> None:
    wide = rows.astype(np.float64)
    for posted in (rows, wide, rows.tolist(), [tuple(row) for row in wide.tolist()], rows.astype(">f8")):
        np.testing.assert_array_equal(PAIR.encode(posted), rows)
        assert PAIR.canonical(posted).tobytes() == rows.tobytes()


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int8", "int32", "int64", "uint64", "float16", "float32", "float64"]
)
def test_every_type_of_number_is_taken(dtype: str) -> None:
    rows = np.array([[0, 1], [1, 0]], dtype)
    for posted in (rows, list(rows), rows.tolist()):
        np.testing.assert_array_equal(PAIR.encode(posted), [[0, 1], [1, 0]])


@pytest.mark.parametrize("dtype", ["complex64", "datetime64[s]", "S3", "U3", "object"])
def test_other_types_are_refused_by_row(dtype: str) -> None:
    with pytest.raises(Invalid, match=r"^\[0\]\[0\]: expected a number, got "):
        PAIR.encode(np.array([["a", "b"]], object) if dtype == "object" else np.array([[1, 2]]).astype(dtype))


def test_large_integers_are_rounded_as_in_json() -> None:
    number = 2**53 + 2**29 + 1
    from_floats = PAIR.canonical([[float(number), 0.5]])[0, 0]
    assert PAIR.canonical([[number, 0]])[0, 0] == from_floats
    assert PAIR.canonical(np.array([[number, 0]], np.int64))[0, 0] == from_floats


@pytest.mark.parametrize("shape", [(2, 3), (1, 4, 2)])
def test_a_row_is_nested_or_flat(shape: tuple[int, ...]) -> None:
    encoder = NumbersEncoder(shape)
    rows = np.random.default_rng(0).random((3, *shape)).astype(np.float32)
    flat = rows.reshape(3, -1)
    for posted in (rows, flat, rows.tolist(), flat.tolist(), [rows[0].tolist(), flat[1].tolist(), rows[2]]):
        np.testing.assert_array_equal(encoder.encode(posted), flat)
        np.testing.assert_array_equal(encoder.canonical(posted), rows)


def test_a_single_number_may_be_bare() -> None:
    encoder = NumbersEncoder()
    for posted in ([0.5, 1], [[0.5], [1]], [0.5, [1]], np.array([0.5, 1])):
        np.testing.assert_array_equal(encoder.encode(posted), [[0.5], [1]])


def test_objects_and_lists_are_the_same_rows() -> None:
    encoder = NumbersEncoder((2,), ("x", "y"))
    expected = encoder.canonical([[1, 2], [3, 4]])
    for posted in ([{"x": 1, "y": 2}, {"y": 4, "x": 3}], [[1, 2], {"y": 4, "x": 3}], np.array([[1, 2], [3, 4]])):
        np.testing.assert_array_equal(encoder.canonical(posted), expected)


@given(FLOATS)
def test_scaling_is_by_mean_and_deviation_of_training(rows: np.ndarray) -> None:
    wide = rows.astype(np.float64)
    encoder = NumbersEncoder.fit(rows, scale=True)
    std = np.where(np.ptp(wide, axis=0) == 0, 1, wide.std(axis=0))
    expected = (wide - wide.mean(axis=0)) / std
    np.testing.assert_allclose(encoder.encode(rows), expected, rtol=1e-5, atol=1e-5)


def test_a_constant_column_is_only_centred() -> None:
    encoder = NumbersEncoder.fit([[0.1, 1], [0.1, 2], [0.1, 3]], scale=True)
    assert (encoder.encode([[0.1, 2]]) == 0).all()
    assert encoder.encode([[1.1, 2]])[0, 0] == pytest.approx(1)


def test_the_description_has_names_units_and_ranges() -> None:
    encoder = NumbersEncoder.fit([[61, 0.5], [47.5, 2]], names=["age", "dose"], units=["years", ""])
    assert encoder.describe() == {
        "encoder": "numbers",
        "shape": [2],
        "columns": [
            {"name": "age", "type": "number", "unit": "years", "min": 47.5, "max": 61.0, "may_be_missing": False},
            {"name": "dose", "type": "number", "unit": None, "min": 0.5, "max": 2.0, "may_be_missing": False},
        ],
        "example": [54.2, 1.25],
    }
    assert NumbersEncoder((2, 2)).describe()["example"] == [[0, 0], [0, 0]]
    assert NumbersEncoder((2, 2)).describe()["columns"] == []
    assert NumbersEncoder.fit([[1], [2]], scale=True).describe()["scale"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["a"]}, "expected 2 numbers|row"),
        ({"names": ["a", "a"]}, "names: expected 2 different ones"),
        ({"units": ["kg"]}, "units: expected 2"),
        ({"shape": [2, 1], "names": ["a", "b"]}, "names: expected 0 different ones"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises((TrainingError, Invalid), match=message):
        NumbersEncoder.fit([[1, 2]], **options)


def test_scaling_without_ranges_is_refused() -> None:
    with pytest.raises(StateError, match="scale: expected a fitted encoder"):
        NumbersEncoder.from_state({"shape": [1], "names": [], "units": [], "scale": True}, {})
