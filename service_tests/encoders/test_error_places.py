"""How messages name places and show values."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from app.encoders.error_places import is_missing, number_fix, place, show


def test_a_place_reads_as_a_path() -> None:
    assert place(4) == "[4]"
    assert place(4, "age") == "[4].age"
    assert place(4, "blood pressure") == '[4]["blood pressure"]'
    assert place(4, 0, 27) == "[4][0][27]"


def test_a_long_name_is_cut_once() -> None:
    cut = "a" * 57 + "..."
    assert place(4, "a" * 10**6) == place(4, cut) == f'[4]["{cut}"]'
    assert place(4, "a" * 60) == f"[4].{'a' * 60}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("abc", '"abc"'), ("a" * 70, f'"{"a" * 60}..."'), (None, "null"), (True, "true"), (1, "1"), (1.5, "1.5"),
        (0.9999999, "0.9999999"), (2.0, "2"), (np.float32(0.1), "0.1"), (1234567.5, "1234567.5"), (1e39, "1e+39"),
        (np.float32(1.5), "1.5"), (10**30, "a whole number of more than 64 bits"), ([1], "an array"), ({}, "an object"),
        (b"x", "bytes"), (1j, "a value of the type complex"), (datetime(2026, 3, 31, tzinfo=UTC), "a timestamp"),
    ],
)  # fmt: skip
def test_a_value_is_shown_as_it_was_posted(value: Any, text: str) -> None:
    assert show(value) == text


@pytest.mark.parametrize(("value", "fix"), [("7", "send it without quotes"), ("\u096d", "send a number")])
def test_a_text_may_only_lack_its_quotes(value: str, fix: str) -> None:
    assert number_fix(value) == fix


def test_null_and_nan_are_missing() -> None:
    assert all(map(is_missing, (None, float("nan"), np.float32("nan"), np.datetime64("NaT"))))
    assert not any(map(is_missing, (0, "", "nan", False, [], float("inf"))))
