"""Texts by their label, from a table with a column for each."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from app.encoders.error_places import is_missing, show
from app.encoders.posted_texts import checked_text
from app.errors import DataError, Invalid, expectation, missing_package

if TYPE_CHECKING:
    from app.families.tables.raw_table import RawTable

LEAVE_OUT = "or leave the row out"
MIN_TEXTS = 20
"""Texts of a label: 5 to adapt to and 15 to predict, as evaluations have them."""


@dataclass(frozen=True)
class LabelledTexts:
    """The texts of each label, in the order of their rows.

    few: labels with fewer than MIN_TEXTS, which are left out
    """

    texts: Mapping[str, Sequence[str]]
    few: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """The same for the same texts and labels in the same order."""
        return blake2b(repr(sorted(self.texts.items())).encode(), digest_size=8).hexdigest()


def read_texts(source: Path | Any, text: str, label: str, leave_out: Collection[str] = ()) -> LabelledTexts:
    """The texts of a table: CSV, Parquet, JSON lines, or a DataFrame.

    text, label: the columns
    leave_out: labels that are no classes of their own, such as one for everything else

    Raises DataError where the file cannot be read or lacks a column, and for a value that is no text, or no label. Rows
    without a text or a label are left out.
    """
    try:
        from app.families.tables.read_table import read_table  # needs an extra
    except ImportError as error:
        raise DataError(missing_package("pyarrow", "text")) from error
    table = read_table(source)
    texts = _read(table, table.check_has("--text", text), _text)
    labels = _read(table, table.check_has("--label", label), _label)
    by_label: dict[str, list[str]] = {}
    for each, of in zip(texts, labels, strict=True):
        if each is not None and of is not None and each.strip():
            by_label.setdefault(of, []).append(each)
    if unknown := sorted(set(leave_out) - by_label.keys()):
        raise DataError(expectation("--leave-out", f"labels of the column {label}", ", ".join(unknown)))
    kept = {name: each for name, each in by_label.items() if name not in leave_out}
    few = tuple(name for name, each in kept.items() if len(each) < MIN_TEXTS)
    return LabelledTexts({name: each for name, each in kept.items() if name not in few}, few)


def _read(table: "RawTable", name: str, read: Callable[[Any], str]) -> list[str | None]:
    """The values of a column by `read`, None where one is missing. Raises DataError with the place of a wrong one."""
    values: list[str | None] = []
    for row, value in enumerate(table.columns[name].tolist()):
        try:
            values.append(None if is_missing(value) else read(value))
        except _WrongValue as error:
            raise DataError(expectation(f"{table.name}, {table.place(row)}, {name}", *error.args)) from error
    return values


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _WrongValue("a text", show(value), f"write a string, {LEAVE_OUT}")
    try:
        return checked_text(value, 0) if value.strip() else ""
    except Invalid as error:
        raise _WrongValue(*error.reason[:2], f"correct it, {LEAVE_OUT}") from error


def _label(value: Any) -> str:
    """A whole number of Parquet or a DataFrame comes as a float. True and false are as in JSON, unlike the texts."""
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    if not isinstance(value, str | int | np.integer):
        raise _WrongValue("a label", show(value), f"write a text, a whole number, true or false, {LEAVE_OUT}")
    return str(value)


class _WrongValue(ValueError):
    """A value that is not of its type: what was expected, what came, and the fix."""
