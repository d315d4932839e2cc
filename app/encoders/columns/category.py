"""A column of categories: strings, numbers or booleans, told apart by type."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from app.encoders.columns.column import check_present, find_missing, read_options
from app.encoders.encoder import StateError
from app.encoders.error_places import place, show
from app.encoders.scaling import Ranges
from app.encoders.state_checks import check_fields
from app.errors import Invalid, TrainingError

Scalar = str | int | float | bool
MAX_CATEGORIES = 100
"""By default: the most frequent of training have a feature of their own, the others share that of unseen ones."""
INT64 = 2**63
EXPECTED = {str: "a string", bool: "true or false", int: "a number"}


@dataclass(frozen=True, eq=False)
class CategoryColumn:
    """Features: one for each category, one for those unseen in training, and one for missing ones, if any may be.

    categories: in order: booleans, numbers, strings, each sorted
    """

    name: str
    categories: tuple[Scalar, ...]
    unit: str = ""
    may_be_missing: bool = False

    type_name: ClassVar[str] = "category"
    ranges: ClassVar[None] = None

    @classmethod
    def fit(cls, name: str, values: Sequence[Any], options: Mapping[str, Any]) -> Self:
        """Learn the categories."""
        chosen = read_options(name, cls.type_name, options, {"max_categories": MAX_CATEGORIES})
        most = chosen.pop("max_categories")
        if most < 1:
            raise TrainingError(f"column {name}: max_categories: expected at least 1, got {most}")
        absent = find_missing(values)
        if chosen["may_be_missing"] is None:
            chosen["may_be_missing"] = bool(absent.any())
        check_present(name, "a category", absent, chosen["may_be_missing"])
        keys = [_key(_scalar(value, row, name)) for row, value in enumerate(values) if not absent[row]]
        if not keys:
            raise TrainingError(f"column {name}: expected at least 1 category in the training rows, got none")
        counts = Counter(sorted(keys))
        return cls(name, tuple(_value(key) for key in sorted(key for key, _ in counts.most_common(most))), **chosen)

    @classmethod
    def from_state(cls, json: Mapping[str, Any], ranges: Ranges | None) -> Self:
        """Read back `to_json`."""
        kinds = {"type": str, "name": str, "unit": str, "may_be_missing": bool, "categories": list}
        check_fields(json, kinds, "column")
        name, categories = json["name"], json["categories"]
        try:
            keys = [_key(_scalar(value, index, name)) for index, value in enumerate(categories)]
        except Invalid as error:
            raise StateError(f"column {name}: categories: {error}") from error
        if len(set(keys)) != len(keys) or not keys:
            raise StateError(f"column {name}: categories: expected at least 1, each once, got {categories!r:.60}")
        return cls(name, tuple(map(_value, keys)), json["unit"], json["may_be_missing"])

    @property
    def width(self) -> int:
        """The categories, one for unseen ones, and one for missing ones."""
        return len(self.categories) + 1 + self.may_be_missing

    def parse(self, values: Sequence[Any]) -> list[Scalar | None]:
        """Strings, integers, floats or booleans, and None where one is missing."""
        if str in self._types and set(map(type, values)) == {str}:
            return list(values)
        absent = find_missing(values)
        check_present(self.name, self._expected, absent, self.may_be_missing)
        return [None if absent[row] else self._known_type(value, row) for row, value in enumerate(values)]

    def canonical(self, parsed: list[Scalar | None]) -> list[Scalar | None]:
        """The same."""
        return parsed

    def features(self, parsed: list[Scalar | None]) -> np.ndarray:
        """One-hot, float32 [row, width]."""
        unseen, codes = len(self.categories), self._codes
        code = [codes.get(value if value.__class__ is str else _key(value), unseen) for value in parsed]
        onehot = np.zeros((len(parsed), self.width), np.float32)
        onehot[np.arange(len(parsed)), code] = 1
        return onehot

    def describe(self) -> dict[str, Any]:
        """The categories of training."""
        return {"categories": list(self.categories)}

    def example(self) -> Scalar:
        """The first category."""
        return self.categories[0]

    def to_json(self) -> dict[str, Any]:
        """Name, options and categories."""
        return {
            "type": self.type_name,
            "name": self.name,
            "unit": self.unit,
            "may_be_missing": self.may_be_missing,
            "categories": list(self.categories),
        }

    @cached_property
    def _codes(self) -> dict[Any, int]:
        """The feature of each category: strings by themselves, others by their key."""
        codes: dict[Any, int] = {
            value if isinstance(value, str) else _key(value): index for index, value in enumerate(self.categories)
        }
        return codes | {_key(None): len(self.categories) + 1}

    @cached_property
    def _types(self) -> set[type]:
        """The types of the categories; int for all numbers."""
        return {int if type(value) is float else type(value) for value in self.categories}

    @property
    def _expected(self) -> str:
        return " or ".join(name for kind, name in EXPECTED.items() if kind in self._types)

    def _known_type(self, value: Any, row: int) -> Scalar:
        """One value. Raises Invalid where no category of training has its type."""
        scalar = _scalar(value, row, self.name)
        if (int if type(scalar) is float else type(scalar)) not in self._types:
            fix = f"the categories are {', '.join(map(show, self.categories[:10]))}"
            raise Invalid(place(row, self.name), self._expected, show(value), fix)
        return scalar


def _scalar(value: Any, row: int, name: str) -> Scalar:
    """A category in its one form: whole numbers as int, others as the nearest float32."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and abs(value) < INT64:
        value = value if value.is_integer() else float(np.float32(value))
        value = int(value) if value.is_integer() else value
    if isinstance(value, str | bool) or (isinstance(value, int | float) and -INT64 <= value < INT64):
        return value
    fix = "send a string, a number of at most 64 bits, or true or false"
    raise Invalid(place(row, name), "a category", show(value), fix)


def _key(value: Scalar | None) -> tuple[int, Any]:
    """What tells categories apart and sorts them: 1, true and "1" are three."""
    if value is None:
        return 3, None
    return (2 if isinstance(value, str) else 0 if isinstance(value, bool) else 1), value


def _value(key: tuple[int, Any]) -> Scalar:
    value: Scalar = key[1]
    return value
