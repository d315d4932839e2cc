"""The types of columns by name, and which of them fits the values of training rows."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np

from app.encoders.columns.boolean import BooleanColumn
from app.encoders.columns.category import CategoryColumn
from app.encoders.columns.column import Column
from app.encoders.columns.date import DateColumn, is_date
from app.encoders.columns.number import NumberColumn
from app.encoders.error_places import is_missing
from app.errors import TrainingError, one_of

TYPES: Mapping[str, type[Column]] = {
    each.type_name: each for each in (NumberColumn, CategoryColumn, BooleanColumn, DateColumn)
}


def infer(name: str, values: Sequence[Any]) -> str:
    """The type of a column whose values are like these. Raises TrainingError where none of them is there.

    All booleans are `boolean`, all numbers `number`, all strings of ISO 8601 `date`; anything else is `category`.
    """
    present = [value for value in values if not is_missing(value)]
    if not present:
        fix = f"leave the column out, or give its type: {one_of(sorted(TYPES))}"
        raise TrainingError(f"column {name}: expected a value in the training rows, got none: {fix}")
    if all(isinstance(value, bool | np.bool_) for value in present):
        return "boolean"
    if all(isinstance(value, int | float | np.number) and not isinstance(value, bool) for value in present):
        return "number"
    if all(isinstance(value, date) or (isinstance(value, str) and is_date(value)) for value in present):
        return "date"
    return "category"


def fit_column(name: str, values: Sequence[Any], options: Mapping[str, Any] | str) -> Column:
    """A column of the type that `options` name, or of that which fits. Raises Invalid and TrainingError.

    options: a type, or an object with `type` and the options of the type, all of which may be left out
    """
    options = {"type": options} if isinstance(options, str) else dict(options)
    chosen = options.pop("type", None) or infer(name, values)
    if chosen not in TYPES:
        raise TrainingError(f"column {name}: type: expected {one_of(sorted(TYPES))}, got {chosen!r}")
    return TYPES[chosen].fit(name, values, options)
