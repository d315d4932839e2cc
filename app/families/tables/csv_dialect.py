"""What separates the columns of a CSV file, found from its first lines."""

import csv
from contextlib import suppress
from itertools import islice

from app.errors import DataError, expectation

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
"""With their names, the most usual first."""
LINES = 50
WHITE = " \r\n,;|\t\ufeff"
"""A line of these alone is empty."""


def find_delimiter(text: str, name: str) -> str:
    """The delimiter with which the first lines have the same number of columns, and most of them.

    If no delimiter gives the same number of columns in all lines, it is the one with which the header has most; reading
    then names the line that is too long or too short.

    Raises DataError where there is one column only.
    """
    counts = {each: _columns(text, each) for each in DELIMITERS}
    even = {each: columns[0] for each, columns in counts.items() if len(set(columns)) == 1}
    widths = {each: columns[0] for each, columns in counts.items()}
    if max(widths.values()) < 2:
        fix = f"separate them by {', '.join([*DELIMITERS.values()][:-1])} or {[*DELIMITERS.values()][-1]}"
        raise DataError(expectation(name, "at least 2 columns", f"1 in the line {_first_line(text)!r:.60}", fix))
    best = even if even and max(even.values()) > 1 else widths
    return max(best, key=lambda each: best[each])


def _columns(text: str, delimiter: str) -> list[int]:
    """The number of columns of each of the first lines that are not empty."""
    lines = (line for line in text[: 1 << 20].splitlines(keepends=True) if line.strip(WHITE))
    counts: list[int] = []
    with suppress(csv.Error):  # a cell that is too long for Python
        counts += (len(row) for row in islice(csv.reader(lines, delimiter=delimiter), LINES))
    return counts or [0]


def _first_line(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip(WHITE)), "")
