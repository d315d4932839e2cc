"""Which line of a CSV file a row is on, and what is wrong with lines that cannot be read."""

import csv
import io
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from app.errors import DataError, expectation, shown

LONG_CELL = 3
"""Lines inside a cell that may be rows which a stray quote swallowed."""
QUOTE = "remove the quote if it is a stray one, or close it"


class CsvText(NamedTuple):
    """The text of a CSV file: the names of its columns and what is below them.

    names: of the columns, empty for one without a name
    body: the text below the header
    skipped: how many lines are above the body
    """

    file: str
    delimiter: str
    names: list[str]
    body: str
    skipped: int

    def rows(self) -> Iterator[tuple[int, int, list[str]]]:
        """The first line, the last line and the cells of each row below the header, without empty lines.

        Raises DataError where a cell is too long to be one.
        """
        reader = csv.reader(io.StringIO(self.body), delimiter=self.delimiter)
        start = 1
        try:
            for cells in reader:
                if cells:
                    yield self.skipped + start, self.skipped + reader.line_num, cells
                start = reader.line_num + 1
        except csv.Error as error:
            raise self.too_long(self.skipped + start) from error

    def place(self, row: int) -> str:
        """Where a row is, header and empty lines counted. It reads the file again, but only for an error."""
        for index, (_, line, _) in enumerate(self.rows()):
            if index == row:
                return f"line {line:,}"
        raise IndexError(row)

    def too_long(self, line: int) -> DataError:
        """The error for a row whose cell never ends."""
        actual = f"one of more than {csv.field_size_limit():,}"
        return DataError(expectation(f"{self.file}, line {line:,}", "cells of ordinary length", actual, QUOTE))

    def uneven(self) -> DataError | None:
        """The error for the first line that has too many or too few cells."""
        width = len(self.names)
        for index, (start, line, row) in enumerate(self.rows()):
            if len(row) == width:
                continue
            if line - start >= LONG_CELL:
                head = shown(row[-1].partition("\n")[0])
                actual = f"a cell of {line - start + 1:,} lines that begins with {head}"
                return DataError(expectation(f"{self.file}, line {start:,}", "a quote that closes", actual, QUOTE))
            if index == 0 and len(row) == width + 1 and row[-1]:
                actual, fix = f"{width}, but {width + 1} cells in the first row", "add the name that is missing"
                place = f"{self.file}, line {self.skipped:,}"
                return DataError(expectation(place, "a name for each column", actual, fix))
            fix = "add the missing cells" if len(row) < width else "put quotes around cells that contain a separator"
            content = shown(self.delimiter.join(row))
            return DataError(
                expectation(f"{self.file}, line {line:,}", f"{width} cells", f"{len(row)} in {content}", fix)
            )
        return None

    def check_long_cell(self, name: str, values: np.ndarray) -> str:
        """A note on the cell of a column with most line breaks; empty where none has many.

        Raises DataError where its lines are rows of the table: a quote is not closed.
        """
        breaks = [0 if value is None else value.count("\n") for value in values]
        row = int(np.argmax(breaks))
        if breaks[row] < LONG_CELL:
            return ""
        inner = values[row].split("\n")[1:-1]
        first = f"line {next(start for index, (start, _, _) in enumerate(self.rows()) if index == row):,}"
        if sum(line.count(self.delimiter) == len(self.names) - 1 for line in inner) > len(inner) / 2:
            actual = f"{len(inner) + 2:,} lines that look like rows"
            raise DataError(expectation(f"{self.file}, {first}, {name}", "one cell between quotes", actual, QUOTE))
        return f"the cell {name} of {first} has {breaks[row] + 1:,} lines"
