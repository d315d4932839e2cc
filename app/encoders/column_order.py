"""Rows with named columns, posted as objects or as lists, in the order of the columns."""

from collections.abc import Sequence
from difflib import get_close_matches
from operator import itemgetter
from typing import Any

import numpy as np

from app.encoders.encoder import Rows
from app.encoders.error_places import place, show
from app.errors import MAX_SHOWN, Invalid, name_text

CLOSE = 0.75
"""How alike two names are, from 0 to 1, for one to be a misspelling of the other: `agee` of `age`, but not `target`."""


def in_column_order(rows: Rows, names: Sequence[str], ignore_extra: bool = False) -> list[Sequence[Any]]:
    """Rows as sequences of values in the order of `names`; None for a column that an object does not have.

    A row is an object with its columns in any order, or a list of the values in the order of `names`.
    ignore_extra: leave out the columns of an object that are not in `names`, instead of refusing them

    Raises Invalid for the first row that has other columns.
    """
    if isinstance(rows, np.ndarray):
        rows = rows.tolist()
    expected = set(names)
    if len(names) > 1 and all(isinstance(row, dict) and row.keys() == expected for row in rows):
        return list(map(itemgetter(*names), rows))
    return [_in_order(row, index, names, expected, ignore_extra) for index, row in enumerate(rows)]


def _in_order(row: Any, index: int, names: Sequence[str], expected: set[str], ignore_extra: bool) -> Sequence[Any]:
    if isinstance(row, dict):
        if not ignore_extra and not row.keys() <= expected:
            raise _extra(next(key for key in row if key not in expected), index, names)
        return [row.get(name) for name in names]
    if isinstance(row, np.ndarray):
        row = row.tolist()
    if not isinstance(row, list | tuple):
        fix = f'send {{"{names[0]}": ...}} or the values alone in this order'
        raise Invalid(place(index), f"an object with the columns {_list(names)}", show(row), fix)
    if len(row) != len(names):
        expectation = f"{len(names)} value{'' if len(names) == 1 else 's'}"
        raise Invalid(place(index), expectation, len(row), f"the columns are {_list(names)}, in this order")
    return row


def _list(names: Sequence[str]) -> str:
    return ", ".join(map(name_text, names))


def _extra(key: Any, index: int, names: Sequence[str]) -> Invalid:
    if not isinstance(key, str):  # in msgpack
        return Invalid(place(index), "names of columns that are strings", show(key), "send the names as strings")
    expected = f"one of the columns {_list(names)}" if len(names) > 1 else f"the column {name_text(names[0])}"
    lowered = {name.lower(): name for name in names}
    close = get_close_matches(key[:MAX_SHOWN].lower(), lowered, n=1, cutoff=CLOSE)
    fix = f"did you mean {name_text(lowered[close[0]])}?" if close else "leave it out"
    return Invalid(place(index, key), expected, "another column", fix)
