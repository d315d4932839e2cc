"""The text of a CSV: the names of its columns, then its rows, with the line that each begins in."""

import csv
import io
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from app.api.decode_errors import other_format
from app.encoders.error_places import show
from app.errors import MAX_SHOWN, Invalid, Malformed

MAX_LINE = 2**20
"""Characters of a line, because the reader holds the interpreter's lock while it splits one."""
OTHER_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}


class Rows(NamedTuple):
    """Some rows. cells: [row][column], without spaces around them; lines: [row], counted from 1"""

    cells: list[list[str]]
    lines: list[int]


class CsvText:
    """A CSV body in UTF-8: commas between cells, double quotes around a cell that has a comma or a line break.

    names: of the columns, from the first line
    """

    def __init__(self, body: bytes) -> None:
        """Read the names. Raises Malformed and Invalid."""
        if (nul := body.find(0)) >= 0:
            unknown = f"the byte 0x00 at {nul}", "save the file as UTF-8"
            raise Malformed("CSV in UTF-8", *(other_format(body) or unknown))
        self._reader = csv.reader(_lines(body), strict=True, skipinitialspace=True)
        self._rows = self._read()
        _, self.names = next(self._rows, (0, []))
        if not self.names:
            raise Malformed("CSV", "an empty body")
        _check_names(self.names)

    def rows(self, count: int) -> Iterator[Rows]:
        """The rows after the names, `count` at a time. Raises Malformed; Invalid where a row has another length."""
        while batch := list(islice(self._rows, count)):
            for line, cells in batch:
                if len(cells) != len(self.names):
                    raise Invalid(f"line {line}", _cells(len(self.names)), len(cells), _other_length(cells, self.names))
            yield Rows([cells for _, cells in batch], [line for line, _ in batch])

    def _read(self) -> Iterator[tuple[int, list[str]]]:
        """The lines that are not blank, with their numbers."""
        line = 1
        try:
            for cells in self._reader:
                if cells:
                    yield line, [cell.strip() for cell in cells]
                line = self._reader.line_num + 1
        except csv.Error as error:
            raise Malformed("CSV", *_syntax(str(error), line)) from error
        except UnicodeDecodeError as error:
            actual = f"the byte 0x{error.object[error.start]:02x} in or after line {line}"
            raise Malformed("CSV in UTF-8", actual, "save the file as UTF-8") from error


def _lines(body: bytes) -> Iterator[str]:
    file = io.TextIOWrapper(io.BytesIO(body), "utf-8-sig", newline="")
    while line := file.readline(MAX_LINE):
        if len(line) == MAX_LINE:
            raise Malformed(f"CSV with fewer than {MAX_LINE} characters in a line", "a longer line")
        yield line


def _check_names(names: list[str]) -> None:
    """Raise Invalid unless the columns have names, each its own."""
    if len(names) == 1:
        for character, word in OTHER_DELIMITERS.items():
            if character in names[0]:
                raise Invalid("line 1", "columns separated by commas", word, "separate the cells by commas")
    seen: set[str] = set()
    for index, name in enumerate(names):
        if not name:
            raise Invalid.unusable("line 1", f"column {index + 1} has no name, so name it or remove it")
        if name in seen:
            raise Invalid.unusable(
                "line 1", f"the name {show(name)} appears twice, so rename or remove one of the columns"
            )
        seen.add(name)


def at(line: int, name: str) -> str:
    """The place of a cell: `line 5, age`."""
    return f"line {line}, {name if len(name) <= MAX_SHOWN else name[:MAX_SHOWN] + '...'}"


def _cells(count: int) -> str:
    return f"{count} cell{'' if count == 1 else 's'}"


def _other_length(cells: list[str], names: list[str]) -> str:
    if len(cells) > len(names):
        return "put a cell that has a comma in double quotes"
    return f"the columns are {show(', '.join(names))}"


def _syntax(error: str, line: int) -> tuple[str, str]:
    """What came and the fix, for an error of the module csv."""
    if "unexpected end" in error:
        return f"a quote that is not closed, in line {line}", "close it"
    if "field limit" in error:
        fix = "close its quote, or send long texts and images in JSON or msgpack"
        return f"a cell of more than {csv.field_size_limit()} characters, in line {line}", fix
    if "expected after" in error:
        return f"text after a closing quote, in line {line}", 'double a quote inside of a quoted cell: ""'
    return f"an error in line {line}: {error}", ""
