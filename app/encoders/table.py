"""Rows of a table: objects with typed columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from app.encoders.column_order import in_column_order
from app.encoders.columns.column import Column
from app.encoders.columns.types import TYPES, fit_column
from app.encoders.encoder import Rows, StateError
from app.encoders.scaling import Ranges
from app.encoders.state_checks import check_arrays, check_fields, check_items
from app.errors import TrainingError, one_of

VALUE_S = 1e-6
"""Of encoding a value of a row."""


@dataclass(frozen=True, eq=False)
class TableEncoder:
    """Columns of numbers, categories, booleans and dates, each with features of its own, side by side.

    A row is an object with the columns in any order, or a list of the values in the order of the columns. A value is
    missing where it is null or NaN, or its key is not there.
    ignore_extra: leave out columns that are not known, instead of refusing them
    """

    columns: tuple[Column, ...]
    ignore_extra: bool = False

    name: ClassVar[str] = "table"
    slow: ClassVar[bool] = False
    encodes_later: ClassVar[bool] = False
    keeps_features: ClassVar[bool] = False

    @classmethod
    def fit(
        cls,
        rows: Rows,
        columns: Mapping[str, Mapping[str, Any] | str] | None = None,
        names: Sequence[str] = (),
        ignore_extra: bool = False,
    ) -> Self:
        """Learn the columns: those of `names`, or all that some row has, in the order in which they first appear.

        columns: by name, what is not to be inferred: a type, or an object with `type`, `unit`, `may_be_missing`
            and the options of the type (`impute`, `scale`, `max_categories`)
        names: the columns to take; needed where rows are lists
        """
        options, order = columns or {}, list(names) or _names(rows)
        unknown = [name for name in options if name not in order]
        if unknown or len(set(order)) < len(order):
            raise TrainingError(f"the encoder table: columns: expected {one_of(order)}, each once, got {unknown!r}")
        values = _columns(rows, order, ignore_extra)
        fitted = [fit_column(name, each, options.get(name, {})) for name, each in zip(order, values, strict=True)]
        return cls(tuple(fitted), ignore_extra)

    @classmethod
    def from_state(cls, json: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Read back `to_json` and `arrays`."""
        check_fields(json, {"columns": list, "ignore_extra": bool})
        check_items(json, "columns", dict)
        states = json["columns"]
        if not states or any(state.get("type") not in [*TYPES] for state in states):
            raise StateError(f"state.columns: expected at least 1, each with the type {one_of(sorted(TYPES))}")
        with_ranges = [state["type"] != "category" for state in states]
        check_arrays(arrays, {"ranges": (len(Ranges._fields), sum(with_ranges))} if any(with_ranges) else {})
        ranges = iter(arrays.get("ranges", np.zeros((0, 0))).T)
        columns = [
            TYPES[state["type"]].from_state(state, Ranges(*next(ranges)[:, None]).checked() if has_ranges else None)
            for state, has_ranges in zip(states, with_ranges, strict=True)
        ]
        if len({column.name for column in columns}) < len(columns):
            raise StateError("state.columns: expected each name once")
        return cls(tuple(columns), json["ignore_extra"])

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """One axis: the features of all columns."""
        return (sum(column.width for column in self.columns),)

    def seconds(self, kept: Rows) -> float:
        """Of reading and encoding every value."""
        return len(kept) * len(self.columns) * VALUE_S

    def encode(self, rows: Rows) -> np.ndarray:
        """The features of the columns, side by side: float32 [row, feature]."""
        values = self._values(rows)
        features = [column.features(column.parse(each)) for column, each in zip(self.columns, values, strict=True)]
        return np.concatenate(features, axis=1, dtype=np.float32)

    def canonical(self, rows: Rows) -> list[list[Any]]:
        """Lists of values in the order of the columns, None where one is missing."""
        values = self._values(rows)
        plain = [column.canonical(column.parse(each)) for column, each in zip(self.columns, values, strict=True)]
        return list(map(list, zip(*plain, strict=True)))

    def describe(self) -> dict[str, Any]:
        """See `Encoder.describe`."""
        return {
            "encoder": self.name,
            "shape": list(self.feature_shape),
            "columns": [
                {
                    "name": column.name,
                    "type": column.type_name,
                    "unit": column.unit or None,
                    **column.describe(),
                    "may_be_missing": column.may_be_missing,
                }
                for column in self.columns
            ],
            "ignore_extra": self.ignore_extra,
            "example": {column.name: column.example() for column in self.columns},
        }

    def to_json(self) -> dict[str, Any]:
        """Options and columns."""
        return {"columns": [column.to_json() for column in self.columns], "ignore_extra": self.ignore_extra}

    def arrays(self) -> dict[str, np.ndarray]:
        """`ranges`, float64 [field of Ranges, column]: of all columns but categories, in their order."""
        ranges = [np.concatenate(column.ranges) for column in self.columns if column.ranges is not None]
        return {"ranges": np.stack(ranges, axis=1)} if ranges else {}

    def _values(self, rows: Rows) -> list[Sequence[Any]]:
        return _columns(rows, [column.name for column in self.columns], self.ignore_extra)


def _names(rows: Rows) -> list[str]:
    """All columns of the training rows, in the order in which they first appear."""
    names = list(dict.fromkeys(name for row in rows if isinstance(row, Mapping) for name in row))
    if not names or not all(isinstance(name, str) for name in names):
        fix = "send objects, or give `names`"
        raise TrainingError(f"the encoder table: expected training rows with named columns, got none: {fix}")
    return names


def _columns(rows: Rows, names: Sequence[str], ignore_extra: bool) -> list[Sequence[Any]]:
    """The values of each column."""
    ordered = in_column_order(rows, names, ignore_extra)
    return list(zip(*ordered, strict=True)) if ordered else [()] * len(names)


encoder = TableEncoder
