"""Reading CSV, with the line of whatever is wrong."""

import csv
import io

import numpy as np
from pyarrow import ArrowInvalid, string
from pyarrow import csv as arrow_csv

from app.errors import DataError, expectation, shown
from app.families.tables.csv_dialect import DELIMITERS, find_delimiter
from app.families.tables.raw_table import RawTable, check_names
from app.families.tables.table_text import TableText

MISSING = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", ".")
"""Cells that are missing values. `.` is that of SAS and Stata."""
MAX_CELL = 1 << 24


def read_csv(file: TableText, name: str) -> RawTable:
    """The columns of a CSV file as text, None where a cell is missing.

    Raises DataError where the header has no names or the same name twice, or a line has too many or too few cells.
    """
    delimiter = find_delimiter(file.text, name)
    names = _header(file.text, delimiter, name)
    try:
        table = arrow_csv.read_csv(
            io.BytesIO(file.text.encode()),
            read_options=arrow_csv.ReadOptions(column_names=names, skip_rows_after_names=1, block_size=MAX_CELL),
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, string()),
                null_values=list(MISSING),
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except ArrowInvalid as error:
        raise _uneven(file.text, delimiter, len(names), name) or DataError(f"{name}: {error}") from error
    if not table.num_rows:
        raise DataError(expectation(name, "at least 1 row below the header", "none"))
    columns = {each: np.array(table.column(each).to_pylist(), object) for each in names if each}
    form = f"CSV, separated by {DELIMITERS[delimiter]}, {file.encoding}"
    notes = ("the column without a name is left out",) if "" in names else ()
    return RawTable(name, form, columns, is_text=True, place=_Lines(file.text, delimiter).place, notes=notes)


def _header(text: str, delimiter: str, name: str) -> list[str]:
    row = next(row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if "".join(row).strip())
    names = [each.strip() for each in row]
    if all(_is_number(each) for each in names):
        fix = "add a first line with a name for each column"
        raise DataError(expectation(f"{name}, line 1", "the names of the columns", f"{','.join(names):.60}", fix))
    if "" in names[1:]:
        place = names.index("", 1) + 1
        raise DataError(expectation(f"{name}, line 1", "a name for each column", f"none for column {place}"))
    check_names(names, name)
    return names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _uneven(text: str, delimiter: str, width: int, name: str) -> DataError | None:
    """The error for the first line that has too many or too few cells."""
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    for index, row in enumerate(row for row in reader if row):
        if len(row) != width:
            if index == 1 and len(row) == width + 1:
                actual, fix = f"{width}, but {width + 1} cells in the first row", "add the name that is missing"
                return DataError(expectation(f"{name}, line 1", "a name for each column", actual, fix))
            fix = "add the missing cells" if len(row) < width else "put quotes around cells that contain a separator"
            content = shown(delimiter.join(row))
            return DataError(
                expectation(f"{name}, line {reader.line_num:,}", f"{width} cells", f"{len(row)} in {content}", fix)
            )
    return None


class _Lines:
    """Finds the line of a row; it reads the file again, but only for an error."""

    def __init__(self, text: str, delimiter: str) -> None:
        self._text, self._delimiter = text, delimiter

    def place(self, row: int) -> str:
        """Where a row is, header and empty lines counted."""
        reader = csv.reader(io.StringIO(self._text), delimiter=self._delimiter)
        rows = (reader.line_num for cells in reader if cells)
        for index, line in enumerate(rows):
            if index == row + 1:
                return f"line {line:,}"
        raise IndexError(row)
