"""Texts by their label, from a table with a column for each."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from app.errors import DataError, expectation, missing_package

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

    Raises DataError where the file cannot be read or lacks a column. Rows without a text or a label are left out.
    """
    try:
        from app.families.tables.read_table import read_table  # needs an extra
    except ImportError as error:
        raise DataError(missing_package("pyarrow", "text")) from error
    table = read_table(source)
    texts, labels = (
        table.columns[table.check_has(option, name)] for option, name in (("--text", text), ("--label", label))
    )
    by_label: dict[str, list[str]] = {}
    for each, of in zip(texts, labels, strict=True):
        if each is None or of is None or not str(each).strip():
            continue
        by_label.setdefault(str(of), []).append(str(each))
    if unknown := sorted(set(leave_out) - by_label.keys()):
        raise DataError(expectation("--leave-out", f"labels of the column {label}", ", ".join(unknown)))
    kept = {name: each for name, each in by_label.items() if name not in leave_out}
    few = tuple(name for name, each in kept.items() if len(each) < MIN_TEXTS)
    return LabelledTexts({name: each for name, each in kept.items() if name not in few}, few)
