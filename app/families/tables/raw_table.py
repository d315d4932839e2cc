"""A table as its file has it, before anybody knows what its columns mean."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from unicodedata import normalize

import numpy as np

from app.errors import DataError, expectation, name_text, names_text, shown
from app.families.tables.number_text import decimal_mark

CLOSE = 0.6
"""How alike two names are, from 0 to 1, for one to be a misspelling of the other."""
MAX_NAMES = 12
"""More columns than these are not listed in an error."""


class EmptyTable(DataError):
    """A table has no rows."""


def row_place(row: int) -> str:
    """Where a row is, counted from 1."""
    return f"row {row + 1:,}"


@dataclass(frozen=True, eq=False)
class RawTable:
    """The columns of a table.

    name: of the file, for errors
    form: how the file was read, in words, such as `CSV, separated by commas, UTF-8`
    columns: the values of each column, by its name; None where a value is missing
    is_text: whether values are text that has yet to be read as numbers, as in CSV
    place: the index of a row -> where it is, such as `line 17`
    total_rows, total_tasks: of the file, where the table has only some of them
    """

    name: str
    form: str
    columns: dict[str, np.ndarray]
    is_text: bool = False
    place: Callable[[int], str] = row_place
    total_rows: int | None = None
    total_tasks: int | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self.columns.values())))

    @cached_property
    def decimal_marks(self) -> frozenset[str]:
        """Those of `.` and `,` that some column of text shows to be decimal."""
        if not self.is_text:
            return frozenset()
        texts = ([value for value in values if value is not None] for values in self.columns.values())
        return frozenset(map(decimal_mark, texts)) - {""}

    def check_has(self, option: str, name: str) -> str:
        """The name as `plain_name` has it, if it is one of a column. Raises DataError that lists similar names.

        option: that names the column, such as `--task`
        """
        if (plain := plain_name(name)) in self.columns:
            return plain
        names = [*self.columns]
        raise DataError(expectation(option, f"a column of {self.name}", shown(name), _suggestion(name, names)))


def plain_name(name: str) -> str:
    """The name of a column without spaces around it, in the Unicode form NFC: é may be one character or two."""
    return normalize("NFC", name).strip()


def _suggestion(name: str, names: Sequence[str]) -> str:
    lowered = {each.lower().strip(): each for each in names}
    close = [lowered[each] for each in get_close_matches(name.lower().strip(), lowered, n=3, cutoff=CLOSE)]
    if close:
        return f"did you mean {' or '.join(map(name_text, close))}?"
    if len(names) > MAX_NAMES:
        return f"it has {len(names)} columns, such as {names_text(names[:MAX_NAMES])}"
    return f"its columns are {names_text(names)}"


def check_names(names: Sequence[str], file: str) -> None:
    """Raise DataError where a column has no name, or two have the same."""
    if "" in names:
        raise DataError(expectation(file, "a name for each column", "one without", "name it, or remove it"))
    twice = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if twice is not None:
        raise DataError(expectation(file, "columns of different names", f"two called {shown(twice)}", "rename one"))
