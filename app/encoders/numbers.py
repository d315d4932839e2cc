"""Rows of numbers of one shape, as they are or standardised."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from app.encoders.column_order import in_column_order
from app.encoders.encoder import Rows, StateError
from app.encoders.finite_numbers import as_numbers, read_floats
from app.encoders.scaling import Ranges, check_scaled
from app.encoders.state_checks import check_arrays, check_fields, check_items, check_shape
from app.errors import Invalid, TrainingError

NUMBER_S = 2e-8
"""Of standardising a number."""


@dataclass(frozen=True, eq=False)
class NumbersEncoder:
    """Numbers in the bundle's units, each row of the same shape.

    shape: of a row as people write it
    names: of the numbers in a row; then a row may also be an object. Empty where they have none
    units: of the numbers in a row; empty where they have none
    scale: whether to standardise each number: (x - mean) / standard deviation, both of the training rows
    ranges: what the training rows were like, for each number; None where the encoder was not fitted
    """

    shape: tuple[int, ...] = (1,)
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    scale: bool = False
    ranges: Ranges | None = None

    name: ClassVar[str] = "numbers"
    slow: ClassVar[bool] = False
    encodes_later: ClassVar[bool] = False

    def __post_init__(self) -> None:
        columns = self.shape[0] if len(self.shape) == 1 else 0
        if self.names and (len(self.names) != columns or len(set(self.names)) != columns):
            raise StateError(f"names: expected {columns} different ones, as the shape is {list(self.shape)}")
        if self.units and len(self.units) != columns:
            raise StateError(f"units: expected {columns}, as the shape is {list(self.shape)}, got {len(self.units)}")
        if self.scale and self.ranges is None:
            raise StateError("scale: expected a fitted encoder: the mean and standard deviation are not known")

    @classmethod
    def fit(
        cls,
        rows: Rows,
        shape: Sequence[int] = (),
        scale: bool = False,
        names: Sequence[str] = (),
        units: Sequence[str] = (),
    ) -> Self:
        """Learn mean, standard deviation and range of each number.

        shape: of a row; by default that of the first row, or of `names`
        """
        try:
            blank = cls(tuple(shape) or _shape(rows, names), tuple(names), tuple(units))
        except StateError as error:
            raise TrainingError(f"the encoder numbers: {error}") from error
        flat = blank.canonical(rows).reshape(len(rows), -1)
        if len(flat) == 0:
            raise TrainingError("the encoder numbers: expected at least 1 training row, got none")
        return cls(blank.shape, blank.names, blank.units, scale, Ranges.of(flat.astype(np.float64)))

    @classmethod
    def from_state(cls, json: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Read back `to_json` and `arrays`."""
        check_fields(json, {"shape": list, "names": list, "units": list, "scale": bool})
        shape = check_shape(json)
        check_items(json, "names", str)
        check_items(json, "units", str)
        ranges = None
        if arrays:
            check_arrays(arrays, {"ranges": (len(Ranges._fields), math.prod(shape))})
            ranges = Ranges(*arrays["ranges"]).checked()
        return cls(shape, tuple(json["names"]), tuple(json["units"]), json["scale"], ranges)

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """The shape of a row."""
        return self.shape

    @property
    def keeps_features(self) -> bool:
        """Unless they are standardised."""
        return not self.scale

    def seconds(self, kept: Rows) -> float:
        """Of reading and scaling every number."""
        return len(kept) * math.prod(self.shape) * NUMBER_S

    def encode(self, rows: Rows) -> np.ndarray:
        """The numbers, standardised where the encoder says so: float32 [row, feature]."""
        flat = self.canonical(rows)
        if flat.ndim != 2:
            flat = flat.reshape(-1, math.prod(self.shape))
        if not self.scale or self.ranges is None:
            return flat
        scaled = self.ranges.scale(flat.astype(np.float64))
        return check_scaled(scaled, flat, self.ranges, self.names)

    def canonical(self, rows: Rows) -> np.ndarray:
        """The numbers as float32 [row, *shape], in the units in which they were posted."""
        if self.names and not isinstance(rows, np.ndarray) and dict in set(map(type, rows)):
            rows = in_column_order(rows, self.names)
        return read_floats(rows, self.shape, self.names)

    def describe(self) -> dict[str, Any]:
        """See `Encoder.describe`. Only a row that is one list has columns; they may have no name."""
        typical = np.zeros(self.shape) if self.ranges is None else self.ranges.typical().reshape(self.shape)
        columns = [self._column(index) for index in range(self.shape[0])] if len(self.shape) == 1 else []
        scale = {"scale": True} if self.scale else {}
        return {
            "encoder": self.name,
            "shape": list(self.shape),
            "columns": columns,
            "example": typical.tolist(),
        } | scale

    def _column(self, index: int) -> dict[str, Any]:
        name, unit = (part[index] if part else None for part in (self.names, self.units))
        limits = {} if self.ranges is None else self.ranges.limits(index)
        return {"name": name, "type": "number", "unit": unit or None, **limits, "may_be_missing": False}

    def to_json(self) -> dict[str, Any]:
        """Options and shape."""
        return {
            "shape": list(self.shape),
            "names": list(self.names),
            "units": list(self.units),
            "scale": self.scale,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """`ranges`, float64 [field of Ranges, feature]; nothing where the encoder was not fitted."""
        return {} if self.ranges is None else {"ranges": np.stack(self.ranges)}


def _shape(rows: Rows, names: Sequence[str]) -> tuple[int, ...]:
    """The shape of the training rows: that of the first one."""
    if names:
        return (len(names),)
    if len(rows) == 0:
        raise StateError("expected at least 1 training row, got none")
    first = as_numbers(rows[0])
    if first is None:
        raise Invalid("[0]", "a row of numbers", "something else", "send equally many numbers in each row")
    return first.shape or (1,)


encoder = NumbersEncoder
