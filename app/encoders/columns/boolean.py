"""A column of true and false."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from app.encoders.columns.column import check_present, check_ranges, find_missing, read_options
from app.encoders.error_places import place, show
from app.encoders.scaling import Ranges
from app.encoders.state_checks import check_fields
from app.errors import Invalid


@dataclass(frozen=True, eq=False)
class BooleanColumn:
    """Features: 1 for true, 0 for false, the share of true in training for missing; then 1 where it is missing, if so.

    ranges: of 0 and 1 in training
    """

    name: str
    ranges: Ranges
    unit: str = ""
    may_be_missing: bool = False

    type_name: ClassVar[str] = "boolean"

    @classmethod
    def fit(cls, name: str, values: Sequence[Any], options: Mapping[str, Any]) -> Self:
        """Learn the share of true."""
        chosen = read_options(name, cls.type_name, options, {})
        numbers = _read(values, name)
        absent = np.isnan(numbers)
        if chosen["may_be_missing"] is None:
            chosen["may_be_missing"] = bool(absent.any())
        check_present(name, "true or false", absent, chosen["may_be_missing"])
        return cls(name, Ranges.of(numbers[:, None].astype(np.float64)), **chosen)

    @classmethod
    def from_state(cls, json: Mapping[str, Any], ranges: Ranges | None) -> Self:
        """Read back `to_json` and `ranges`."""
        check_fields(json, {"type": str, "name": str, "unit": str, "may_be_missing": bool}, "column")
        return cls(json["name"], check_ranges(json["name"], ranges), json["unit"], json["may_be_missing"])

    @property
    def width(self) -> int:
        """One, and one more for the flag of missing values."""
        return 1 + self.may_be_missing

    def parse(self, values: Sequence[Any]) -> np.ndarray:
        """1, 0 or NaN, float32 [row]."""
        numbers = _read(values, self.name)
        check_present(self.name, "true or false", np.isnan(numbers), self.may_be_missing)
        return numbers

    def canonical(self, parsed: np.ndarray) -> list[bool | None]:
        """True, False or None."""
        return [None if value != value else value == 1 for value in parsed.tolist()]

    def features(self, parsed: np.ndarray) -> np.ndarray:
        """float32 [row, 1 or 2]."""
        absent = np.isnan(parsed)
        numbers = np.where(absent, self.ranges.mean.astype(np.float32), parsed)
        return np.column_stack([numbers, absent.astype(np.float32)]) if self.may_be_missing else numbers[:, None]

    def describe(self) -> dict[str, Any]:
        """The values seen in training."""
        return {"categories": [value for value in (False, True) if self.ranges.low[0] <= value <= self.ranges.high[0]]}

    def example(self) -> bool:
        """The more frequent one."""
        return bool(self.ranges.mean[0] >= 0.5)

    def to_json(self) -> dict[str, Any]:
        """Name and options."""
        return {"type": self.type_name, "name": self.name, "unit": self.unit, "may_be_missing": self.may_be_missing}


def _read(values: Sequence[Any], name: str) -> np.ndarray:
    """float32 [row]: 1, 0, or NaN where one is missing."""
    if not set(map(type, values)) <= {bool, type(None)}:
        absent = find_missing(values)
        for row, value in enumerate(values):
            if not isinstance(value, bool | np.bool_) and not absent[row]:
                raise Invalid(place(row, name), "true or false", show(value), "send true or false without quotes")
        values = [None if gone else bool(value) for gone, value in zip(absent, values, strict=True)]
    return np.array(values, np.float32)  # None becomes NaN
