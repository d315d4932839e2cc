"""Rows of a support set with the targets among their columns: objects, or a CSV."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from app.api.bundle_columns import rename_target, target_names
from app.bundles.bundle import Bundle
from app.encoders.error_places import place as place_of
from app.errors import Invalid

RELATIVE = re.compile(r'\[(\d+)\](?:\.(\w+)|\[(".*")\]|\[(\d+)\])?')
"""The place of a value in a list of rows, as encoders name it: `[4]`, `[4].age`, `[4]["blood pressure"]`, `[4][0]`."""


class Examples(NamedTuple):
    """Rows taken apart: inputs as an encoder takes them, and targets as a body has them.

    place: (row, name of the column or None) -> the place in the body
    whole: the place of all rows
    input_names, target_names: of the numbers in an input that is a list, and in a target
    """

    inputs: list[Any] | np.ndarray
    targets: list[Any]
    place: Callable[[int, str | None], str]
    whole: str
    input_names: Sequence[str]
    target_names: Sequence[str]

    def locate(self, error: Invalid, prefix: str = "") -> Invalid:
        """The error of `{prefix}inputs` or `{prefix}targets` at its place in the rows; another one as it is."""
        for field, names in (("inputs", self.input_names), ("targets", self.target_names)):
            if error.place == f"{prefix}{field}":
                return Invalid(self.whole, *error.reason)
            where = error.place.removeprefix(f"{prefix}{field}")
            if where != error.place and (match := RELATIVE.match(where)):
                return Invalid(self.place(*row_and_column(match, names)), *error.reason)
        return error


def row_and_column(match: re.Match[str], names: Sequence[str]) -> tuple[int, str | None]:
    """The row and the column of a match of `RELATIVE`; None where the whole row is meant and has several columns."""
    row, name, quoted, index = match.groups()
    if index is not None and int(index) < len(names):
        name = names[int(index)]
    elif quoted is not None:
        name = json.loads(quoted)
    elif name is None and len(names) == 1:
        name = names[0]
    return int(row), name


def from_objects(rows: Sequence[dict[str, Any]], bundle: Bundle, place: str) -> Examples:
    """Objects taken apart. Raises Invalid where one lacks a target. place: of the rows in the body"""
    names = list(bundle.columns)
    targets = target_names(bundle, names, place)
    if not names:
        fix = "its inputs have no columns with names, so send inputs and targets"
        raise Invalid(place, f"inputs and targets for {bundle.name}", "rows", fix)
    for index, row in enumerate(rows):
        for name in targets:
            if name not in row:
                others = [each for each in row if each not in (*names, *targets)]
                raise Invalid(f"{place}{place_of(index, name)}", "a value", "none", rename_target(name, others))
    inputs = [{name: value for name, value in row.items() if name not in targets} for row in rows]
    values = [row[targets[0]] if len(targets) == 1 else [row[name] for name in targets] for row in rows]

    def where(row: int, name: str | None) -> str:
        return place + (place_of(row) if name is None else place_of(row, name))

    return Examples(inputs, values, where, place, names, targets)
