"""The interface of a column of a table."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from app.encoders.encoder import ArraysError
from app.encoders.error_places import is_missing, missing, place
from app.encoders.scaling import Ranges
from app.errors import TrainingError, name_text


class Column(Protocol):
    """A column by name and type, fitted on the values of the training rows.

    `parse` alone reads posted values; what it returns is the column's own, and goes into `canonical` and `features`.
    """

    type_name: ClassVar[str]

    @property
    def name(self) -> str:
        """Of the column."""

    @property
    def unit(self) -> str:
        """What its values are measured in; empty if nothing."""

    @property
    def may_be_missing(self) -> bool:
        """Whether null, NaN or no value at all is one."""

    @classmethod
    def fit(cls, name: str, values: Sequence[Any], options: Mapping[str, Any]) -> Self:
        """The column for values like these. Raises Invalid for a bad value, TrainingError for bad options."""

    @classmethod
    def from_state(cls, json: Mapping[str, Any], ranges: Ranges | None) -> Self:
        """The column that `to_json` and `ranges` describe. Raises StateError."""

    @property
    def ranges(self) -> Ranges | None:
        """What the values of training were like, each field [1]; None for a column of no numbers."""

    @property
    def width(self) -> int:
        """The number of features."""

    def parse(self, values: Sequence[Any]) -> Any:
        """Read posted values, None where one is missing. Raises Invalid for the first that cannot be used."""

    def canonical(self, parsed: Any) -> list[Any]:
        """The values as plain JSON values that are the same for the same content; None where one is missing."""

    def features(self, parsed: Any) -> np.ndarray:
        """float32 [row, width]. Raises Invalid for a number that is too far from those of training."""

    def describe(self) -> dict[str, Any]:
        """Type, and the range or categories of training."""

    def example(self) -> Any:
        """A value that can be encoded."""

    def to_json(self) -> dict[str, Any]:
        """Type, name, options and categories."""


def check_present(name: str, expected: str, absent: np.ndarray, may_be_missing: bool) -> None:
    """Raise Invalid at the first value that is missing, unless it may be. absent: bool [row]"""
    if not may_be_missing and absent.any():
        raise missing(place(int(np.argmax(absent)), name), expected, f"column {name_text(name)}")


def find_missing(values: Sequence[Any]) -> np.ndarray:
    """Which values are missing (null or NaN), bool [row]."""
    if set(map(type, values)) <= {str, bool, int}:  # most columns
        return np.zeros(len(values), bool)
    return np.fromiter(map(is_missing, values), bool, len(values))


def read_options(name: str, type_name: str, options: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a column with defaults for the rest. Raises TrainingError for one that is unknown or ill-typed.

    The default `None` of `may_be_missing` is for "what the training rows do".
    """
    allowed = {"unit": "", "may_be_missing": None, **defaults}
    for key, value in options.items():
        if key not in allowed:
            raise TrainingError(f"column {name}: a {type_name} has the options {', '.join(allowed)}, got {key!r}")
        kind = bool if allowed[key] is None else allowed[key].__class__
        if value.__class__ is not kind:
            raise TrainingError(f"column {name}: {key}: expected a {kind.__name__}, got {value!r}")
    return allowed | dict(options)


def check_ranges(name: str, ranges: Ranges | None) -> Ranges:
    """The ranges of a column that has some. Raises ArraysError where they are not there."""
    if ranges is None:
        raise ArraysError(f"arrays: expected the ranges of column {name}, got none")
    return ranges
