"""A column of dates and times."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.encoders.columns.date import DateColumn
from app.errors import Invalid

COLUMN = DateColumn.fit("a", ["2026-01-01", "2026-01-03"], {"may_be_missing": True})


def test_the_features_are_scaled_days_month_weekday_and_flag() -> None:
    monday, later, gone = COLUMN.features(COLUMN.parse(["2026-01-05", "2026-04-06T12:00:00Z", None]))
    np.testing.assert_allclose(monday, [3, 0, 1, 0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(later, [94.5, 1, 0, 0, 1, 0], atol=1e-6)
    np.testing.assert_array_equal(gone, [0, 0, 0, 0, 0, 1])


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("2026-03-31", "2026-03-31"),
        (date(2026, 3, 31), "2026-03-31"),
        (np.datetime64("2026-03-31"), "2026-03-31"),
        ("2026-03-31T14:30", "2026-03-31T14:30:00Z"),
        ("2026-03-31 14:30:00", "2026-03-31T14:30:00Z"),
        ("2026-03-31T14:30:00Z", "2026-03-31T14:30:00Z"),
        ("2026-03-31T16:30:00+02:00", "2026-03-31T14:30:00Z"),
        (datetime(2026, 3, 31, 14, 30, tzinfo=UTC), "2026-03-31T14:30:00Z"),
        ("2026-03-31T14:30:00.250", "2026-03-31T14:30:00.250000Z"),
        (np.datetime64("NaT"), None),
    ],
)
def test_dates_and_times_have_one_form(value: Any, kept: str | None) -> None:
    assert COLUMN.canonical(COLUMN.parse([value])) == [kept]


ZONES: Any = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), None])
TIMES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=ZONES)


@given(st.lists(st.one_of(st.dates(), TIMES, st.none()), min_size=1))
def test_the_canonical_form_is_final(values: list[Any]) -> None:
    column = DateColumn.fit("a", values, {"may_be_missing": True})
    kept = column.canonical(column.parse(values))
    assert column.canonical(column.parse(kept)) == kept
    features = column.features(column.parse(values))
    np.testing.assert_array_equal(column.features(column.parse(kept)), features)
    assert np.isfinite(features).all()
    column.parse([column.example(), *column.describe().values()])


@pytest.mark.parametrize("value", ["20260331", "2026-W14-2", "2026-13-01", "yesterday", "", 5, True, [1], "2026-03-3"])
def test_other_forms_are_refused(value: Any) -> None:
    with pytest.raises(Invalid, match=r"^\[1\]\.a: expected a date such as 2026-03-31 or 2026-03-31T14:30:00Z, got "):
        COLUMN.parse(["2026-03-31", value])
