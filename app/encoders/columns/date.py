"""A column of dates or times: ISO 8601."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar, Self

import numpy as np

from app.encoders.columns.column import check_present, check_ranges, find_missing, read_options
from app.encoders.error_places import place, show
from app.encoders.scaling import Ranges
from app.encoders.state_checks import check_fields
from app.errors import Invalid

EXPECTED = "a date such as 2026-03-31 or 2026-03-31T14:30:00Z"
ISO = re.compile(r"\d{4}-\d{2}-\d{2}")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
FIRST, LAST = (date.min - EPOCH.date()).days, (date.max - EPOCH.date()).days + 1
"""The days since 1970 that a date can be."""

Moment = date | datetime
"""A date, or a time in UTC."""


def _circle(count: int) -> np.ndarray:
    """Sine and cosine of `count` equal steps around the circle, float32 [step, 2]."""
    angles = [2 * math.pi * step / count for step in range(count)]
    return np.array([[math.sin(angle), math.cos(angle)] for angle in angles], np.float32)


MONTHS, WEEKDAYS = _circle(12), _circle(7)


@dataclass(frozen=True, eq=False)
class DateColumn:
    """Features: days since the mean of training, scaled; sine and cosine of month and of weekday; the flag of missing.

    Where a date is missing all of them are 0 but the flag. Times are in UTC, also those without an offset.
    ranges: of the days since 1970-01-01 in training
    """

    name: str
    ranges: Ranges
    unit: str = ""
    may_be_missing: bool = False

    type_name: ClassVar[str] = "date"

    @classmethod
    def fit(cls, name: str, values: Sequence[Any], options: Mapping[str, Any]) -> Self:
        """Learn mean, standard deviation and range of the days."""
        chosen = read_options(name, cls.type_name, options, {})
        moments = _read(values, name)
        days = _days(moments)
        if chosen["may_be_missing"] is None:
            chosen["may_be_missing"] = bool(np.isnan(days).any())
        check_present(name, EXPECTED, np.isnan(days), chosen["may_be_missing"])
        return cls(name, Ranges.of(days[:, None]), **chosen)

    @classmethod
    def from_state(cls, json: Mapping[str, Any], ranges: Ranges | None) -> Self:
        """Read back `to_json` and `ranges`."""
        check_fields(json, {"type": str, "name": str, "unit": str, "may_be_missing": bool}, "column")
        return cls(json["name"], check_ranges(json["name"], ranges), json["unit"], json["may_be_missing"])

    @property
    def width(self) -> int:
        """Five, and one more for the flag of missing dates."""
        return 5 + self.may_be_missing

    def parse(self, values: Sequence[Any]) -> list[Moment | None]:
        """Dates and times, None where one is missing."""
        moments = _read(values, self.name)
        absent = np.array([moment is None for moment in moments], bool)
        check_present(self.name, EXPECTED, absent, self.may_be_missing)
        return moments

    def canonical(self, parsed: list[Moment | None]) -> list[str | None]:
        """`2026-03-31` for a date, `2026-03-31T14:30:00Z` for a time."""
        return [None if moment is None else _text(moment) for moment in parsed]

    def features(self, parsed: list[Moment | None]) -> np.ndarray:
        """float32 [row, 5 or 6]."""
        days = _days(parsed)
        absent = np.isnan(days)
        present = [EPOCH if moment is None else moment for moment in parsed]
        scaled = self.ranges.scale(np.where(absent, self.ranges.mean, days)[:, None]).astype(np.float32)
        months = MONTHS[[moment.month - 1 for moment in present]]
        weekdays = WEEKDAYS[[moment.weekday() for moment in present]]
        features = np.hstack([scaled, months, weekdays])
        features[absent] = 0
        return np.column_stack([features, absent.astype(np.float32)]) if self.may_be_missing else features

    def describe(self) -> dict[str, Any]:
        """The first and the last day of training."""
        return {"min": _date(self.ranges.low[0]), "max": _date(self.ranges.high[0])}

    def example(self) -> str:
        """The median day."""
        return _date(self.ranges.median[0])

    def to_json(self) -> dict[str, Any]:
        """Name and options."""
        return {"type": self.type_name, "name": self.name, "unit": self.unit, "may_be_missing": self.may_be_missing}


def is_date(text: str) -> bool:
    """Whether a string is a date or time of ISO 8601 with year, month and day."""
    try:
        _moment(text)
    except (ValueError, OverflowError):
        return False
    return True


def _read(values: Sequence[Any], name: str) -> list[Moment | None]:
    """Dates and times, None where one is missing. Raises Invalid at the first that is neither."""
    absent = find_missing(values)
    moments: list[Moment | None] = []
    for row, value in enumerate(values):
        try:
            moments.append(None if absent[row] else _moment(value))
        except (ValueError, OverflowError, TypeError):
            fix = "write it in the order year, month, day (ISO 8601)"
            raise Invalid(place(row, name), EXPECTED, show(value), fix) from None
    return moments


def _moment(value: Any) -> Moment:
    if isinstance(value, str):
        if not ISO.match(value):
            raise ValueError("not a date of ISO 8601")
        value = date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, datetime):
        if type(value) is not datetime:  # that of pandas has nanoseconds
            value = datetime.combine(value.date(), value.time(), value.tzinfo)
        moment: datetime = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return moment
    if isinstance(value, date):
        return date(value.year, value.month, value.day)
    raise TypeError("neither a string nor a date")


def _days(moments: Sequence[Moment | None]) -> np.ndarray:
    """Days since 1970-01-01, float64 [row], NaN where a date is missing."""
    start = EPOCH.toordinal()
    return np.array(
        [
            math.nan
            if moment is None
            else (moment - EPOCH) / DAY
            if isinstance(moment, datetime)
            else moment.toordinal() - start
            for moment in moments
        ],
        np.float64,
    )


def _text(moment: Moment) -> str:
    text = moment.isoformat()
    return text.replace("+00:00", "Z") if isinstance(moment, datetime) else text


def _date(days: float) -> str:
    return (EPOCH.date() + timedelta(days=math.floor(min(max(days, FIRST), LAST - 1)))).isoformat()
