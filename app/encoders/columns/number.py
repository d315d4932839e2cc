"""A column of numbers, standardised, with the mean or median of training in the place of missing ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from app.encoders.columns.column import check_present, check_ranges, read_options
from app.encoders.encoder import StateError
from app.encoders.error_places import number_fix, place, show
from app.encoders.finite_numbers import FLOAT32_MAX, to_float32
from app.encoders.scaling import Ranges, check_scaled
from app.encoders.state_checks import check_fields
from app.errors import Invalid, TrainingError

IMPUTE = ("mean", "median")
NUMBERS = {float, int, type(None)}


@dataclass(frozen=True, eq=False)
class NumberColumn:
    """Features: the number, scaled; then 1 where it is missing and 0 elsewhere, if it may be missing.

    impute: what stands for a missing number, `mean` or `median` of training
    scale: whether to standardise; the number itself if not
    """

    name: str
    ranges: Ranges
    unit: str = ""
    may_be_missing: bool = False
    impute: str = "mean"
    scale: bool = True

    type_name: ClassVar[str] = "number"

    @classmethod
    def fit(cls, name: str, values: Sequence[Any], options: Mapping[str, Any]) -> Self:
        """Learn mean, median, standard deviation and range."""
        chosen = read_options(name, cls.type_name, options, {"impute": "mean", "scale": True})
        if chosen["impute"] not in IMPUTE:
            raise TrainingError(f"column {name}: impute: expected mean or median, got {chosen['impute']!r}")
        numbers = _read(values, name)
        absent = np.isnan(numbers)
        if chosen["may_be_missing"] is None:
            chosen["may_be_missing"] = bool(absent.any())
        check_present(name, "a number", absent, chosen["may_be_missing"])
        return cls(name, Ranges.of(numbers.astype(np.float64)[:, None]), **chosen)

    @classmethod
    def from_state(cls, json: Mapping[str, Any], ranges: Ranges | None) -> Self:
        """Read back `to_json` and `ranges`."""
        kinds = {"type": str, "name": str, "unit": str, "may_be_missing": bool, "impute": str, "scale": bool}
        check_fields(json, kinds, "column")
        if json["impute"] not in IMPUTE:
            raise StateError(f"column {json['name']}: impute: expected mean or median, got {json['impute']!r}")
        ranges = check_ranges(json["name"], ranges)
        return cls(json["name"], ranges, json["unit"], json["may_be_missing"], json["impute"], json["scale"])

    @property
    def width(self) -> int:
        """One, and one more for the flag of missing numbers."""
        return 1 + self.may_be_missing

    def parse(self, values: Sequence[Any]) -> np.ndarray:
        """Numbers, float32 [row], NaN where one is missing."""
        numbers = _read(values, self.name)
        check_present(self.name, "a number", np.isnan(numbers), self.may_be_missing)
        return numbers

    def canonical(self, parsed: np.ndarray) -> list[float | None]:
        """The nearest float32 numbers."""
        values = parsed.tolist()
        return [None if value != value else value for value in values] if self.may_be_missing else values

    def features(self, parsed: np.ndarray) -> np.ndarray:
        """float32 [row, 1 or 2]."""
        numbers, absent = parsed.astype(np.float64)[:, None], np.isnan(parsed)[:, None]
        if self.may_be_missing:
            numbers[absent] = (self.ranges.mean if self.impute == "mean" else self.ranges.median)[0]
        if self.scale:
            numbers = check_scaled(self.ranges.scale(numbers), numbers, self.ranges, [self.name])
        return np.hstack([numbers, absent], dtype=np.float32) if self.may_be_missing else numbers.astype(np.float32)

    def describe(self) -> dict[str, Any]:
        """The range of training."""
        return self.ranges.limits(0)

    def example(self) -> float:
        """A number near the median."""
        return float(self.ranges.typical()[0])

    def to_json(self) -> dict[str, Any]:
        """Name and options."""
        return {
            "type": self.type_name,
            "name": self.name,
            "unit": self.unit,
            "may_be_missing": self.may_be_missing,
            "impute": self.impute,
            "scale": self.scale,
        }


def _read(values: Sequence[Any], name: str) -> np.ndarray:
    """float32 [row], NaN for null and NaN. Raises Invalid at the first that is no number, or not finite in float32."""
    try:
        if not set(map(type, values)) <= NUMBERS:
            values = [_number(value, place(row, name)) for row, value in enumerate(values)]
        wide = np.array(values, np.float64).reshape(-1)  # None becomes NaN
    except OverflowError:  # an integer beyond float64
        wide = np.array([_number(value, place(row, name)) for row, value in enumerate(values)], np.float64)
    outside = np.abs(wide) > FLOAT32_MAX
    if outside.any():
        row = int(np.argmax(outside))
        raise Invalid(place(row, name), "a finite float32 number", show(float(wide[row])), "check its unit")
    return to_float32(wide) + np.float32(0)  # -0 is 0


def _number(value: Any, where: str) -> float | None:
    if isinstance(value, np.integer | np.floating):
        value = value.item()
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise Invalid(where, "a number", show(value), number_fix(value))
    try:
        return None if value is None else float(value)
    except OverflowError:
        return float("inf")
