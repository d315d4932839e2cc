"""The rows of a CSV for a bundle: columns by name, or numbers in their order where inputs have no names."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from app.api.bundle_columns import (
    describe_inputs,
    describe_targets,
    names_of,
    refuse_extra,
    rename_target,
    target_names,
)
from app.api.csv_cells import NUMBER, read_cells
from app.api.csv_text import CsvText, Rows, at
from app.api.read_arrays import read_queries
from app.api.support_rows import RELATIVE, Examples, row_and_column
from app.bundles.bundle import Bundle
from app.encoders.error_places import FILL_IN
from app.errors import Invalid

AT_ONCE = 1000
"""Rows that are values at a time: as Python's objects, they take many times their bytes."""
NOT_FINITE = {"nan", "inf", "-inf"}
SINGLE = {"text": "texts", "image": "PNG images in base64"}
"""What the only column has, by the encoders whose inputs have no columns."""
NO_ROWS = "at least 1 row after the names of the columns"


@dataclass(frozen=True)
class CsvBody:
    """The body of a request in CSV, in the place of its rows or queries: only the bundle knows the types of columns."""

    data: bytes

    def __len__(self) -> int:
        """In bytes."""
        return len(self.data)


class CsvTable:
    """A CSV whose columns are those of a bundle."""

    def __init__(self, body: CsvBody, bundle: Bundle, with_targets: bool) -> None:
        """Match the names of the columns. Raises Malformed; Invalid where one is missing or not known."""
        self._text, self._bundle = CsvText(body.data), bundle
        inputs, names = describe_inputs(bundle), self._text.names
        known = names_of(inputs["columns"])
        self._targets = describe_targets(bundle.manifest) if with_targets else []
        self.targets = target_names(bundle, known, "") if with_targets else []
        _check_targets(self.targets, names, known)
        others = [name for name in names if name not in self.targets]
        if known:
            self._columns = inputs["columns"]
            if not inputs.get("ignore_extra", False):
                _check_known(others, known)
            _check_present([each["name"] for each in self._columns if not each["may_be_missing"]], names)
            self.inputs = known
        else:
            if not with_targets:
                _refuse_targets(others, bundle)
            self._columns, self.inputs = _by_position(others, self.targets, inputs), others
        self._index = {name: index for index, name in enumerate(names)}
        self._bare = self._columns[0]["type"] == "text"
        # an encoder of texts counts them, so it gets all at once
        self._at_once = len(body.data) if self._bare else AT_ONCE

    def queries(self) -> np.ndarray:
        """All rows, as `read_queries` gives them. Raises Malformed and Invalid at the first wrong cell."""
        parts = []
        for rows in self._rows():
            try:
                parts.append(read_queries(self._inputs(rows), self._bundle.encoder, ""))
            except Invalid as error:
                raise self._locate(error, rows.lines) from error
        return np.concatenate(parts)

    def examples(self, limit: int) -> Examples:
        """The rows taken apart. Raises Malformed and Invalid. limit: rows that there may be"""
        inputs: list[Any] = []
        targets: list[Any] = []
        lines: list[int] = []
        for rows in self._rows():
            inputs.extend(self._inputs(rows))
            values = [self._target(column, rows) for column in self._targets]
            targets.extend(values[0] if len(values) == 1 else map(list, zip(*values, strict=True)))
            lines.extend(rows.lines)
            if len(lines) > limit:
                fix = "send fewer examples"
                raise Invalid("", f"at most {limit} examples (INNERLOOP_MAX_SUPPORT_EXAMPLES)", "more", fix)

        def place(row: int, name: str | None) -> str:
            return _place(lines[row], name)

        arrays = np.stack(inputs) if isinstance(inputs[0], np.ndarray) else inputs
        return Examples(arrays, targets, place, "", self.inputs, self.targets)

    def _rows(self) -> Iterator[Rows]:
        rows = self._text.rows(self._at_once)
        if (first := next(rows, None)) is None:
            raise Invalid("", NO_ROWS, 0)
        return chain([first], rows)

    def _inputs(self, rows: Rows) -> Any:
        """Rows as an encoder takes them: float64 [row, column] where all columns are numbers, else lists of values."""
        values = [self._values(column, name, rows) for column, name in zip(self._columns, self.inputs, strict=True)]
        if self._bare:
            if None in values[0]:
                raise _is_empty(rows, values[0], self.inputs[0], "a text")
            return values[0]
        if all(column["type"] == "number" for column in self._columns):
            return np.array(values, np.float64).T
        return list(map(list, zip(*values, strict=True)))

    def _values(self, column: dict[str, Any], name: str, rows: Rows) -> list[Any]:
        """The values of a column; None for each where the CSV does not have it."""
        index = self._index.get(name)
        if index is None:
            return [None] * len(rows.cells)
        try:
            return read_cells([cells[index] for cells in rows.cells], column)
        except Invalid as error:
            match = RELATIVE.match(error.place)
            assert match is not None, "its place is a row"
            raise Invalid(at(rows.lines[int(match[1])], name), *error.reason) from error

    def _target(self, column: dict[str, Any], rows: Rows) -> list[Any]:
        """The values of a target, all of which have to be there."""
        values = self._values(column, column["name"], rows)
        if None in values:
            raise _is_empty(rows, values, column["name"], f"a {column['type']}")
        return values

    def _locate(self, error: Invalid, lines: Sequence[int]) -> Invalid:
        match = RELATIVE.match(error.place)
        if match is None:
            return error
        row, name = row_and_column(match, self.inputs)
        return Invalid(_place(lines[row], name), *error.reason)


def _is_empty(rows: Rows, values: list[Any], name: str, expected: str) -> Invalid:
    """The error of the first value of a column that is None."""
    return Invalid(at(rows.lines[values.index(None)], name), expected, "an empty cell", FILL_IN)


def _place(line: int, name: str | None) -> str:
    return f"line {line}" if name is None else at(line, name)


def _check_known(names: list[str], known: list[str]) -> None:
    try:
        refuse_extra(names, known)
    except Invalid as error:
        extra = next(name for name in names if name not in known)
        raise Invalid(at(1, extra), *error.reason) from error


def _refuse_targets(names: list[str], bundle: Bundle) -> None:
    """Raise Invalid for a target among the columns of queries, where any name may be that of an input."""
    for name in names_of(describe_targets(bundle.manifest)):
        if name in names:
            raise Invalid(at(1, name), "columns of inputs", "the target", "remove the column, or give it another name")


def _check_targets(targets: list[str], names: list[str], known: list[str]) -> None:
    """Raise Invalid for a target without a column of its name. known: the inputs, empty where they have no names"""
    if missing := [name for name in targets if name not in names]:
        expected = {*targets, *known}
        others = [name for name in names if name not in expected] if known and len(missing) == 1 else []
        raise _lacking(missing[0], targets, rename_target(missing[0], others))


def _check_present(wanted: list[str], names: list[str]) -> None:
    if missing := [name for name in wanted if name not in names]:
        raise _lacking(missing[0], wanted, "add the column")


def _lacking(name: str, wanted: list[str], fix: str) -> Invalid:
    expected = f"the column{'' if len(wanted) == 1 else 's'} {', '.join(wanted)}"
    return Invalid(at(1, name), expected, "none of this name", fix)


def _by_position(names: list[str], targets: list[str], inputs: dict[str, Any]) -> list[dict[str, Any]]:
    """The columns of inputs that have no names: a number each, or the only one with texts."""
    if names and all(NUMBER.fullmatch(name) or name.lower() in NOT_FINITE for name in names):
        raise Invalid("line 1", "names of columns", "numbers", "begin with a line of names")
    if len(names) == 1 and isinstance(inputs["example"], str):
        return [{"type": "text"}]
    count = math.prod(inputs["shape"])
    if len(names) != count:
        single = f"1 column of {SINGLE[inputs['encoder']]}, or " if inputs["encoder"] in SINGLE else ""
        numbers = f"{single}{count} column{'' if count == 1 else 's'} of numbers"
        beside = f" beside {', '.join(targets)}" if targets else ""
        fix = "remove the columns that are not inputs" if len(names) > (1 if single else count) else ""
        raise Invalid("line 1", f"{numbers}{beside}", len(names), fix)
    return [{"type": "number"}] * count
