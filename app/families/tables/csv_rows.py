"""Reading CSV, with the line of whatever is wrong."""

import csv
import io
import re

import numpy as np
from pyarrow import ArrowInvalid, Table, string
from pyarrow import csv as arrow_csv

from app.encoders.columns.date import is_date
from app.errors import DataError, expectation
from app.families.tables.csv_dialect import DELIMITERS, find_delimiter
from app.families.tables.csv_lines import CsvText
from app.families.tables.number_text import read_numbers
from app.families.tables.raw_table import EmptyTable, RawTable, check_names
from app.families.tables.table_text import TableText

MISSING = ("NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", ".")
"""Cells that are missing values. `.` is that of SAS and Stata."""
MAX_CELL = 1 << 24
EXCEL_DELIMITER = re.compile(r"\ufeff?\"?sep=(.)\"?[ \t]*\n")
"""The first line that Excel writes and reads."""


def read_csv(file: TableText, name: str) -> RawTable:
    """The columns of a CSV file as text, None where a cell is missing.

    Raises DataError where the header has no names or the same name twice, where a line has too many or too few cells,
    or where a quote that is not closed makes one cell of many lines.
    """
    text = _split(file.text.replace("\r\n", "\n").replace("\r", "\n"), name)
    keys = [each or f"\0{index}" for index, each in enumerate(text.names)]
    table = _arrow_table(text, keys)
    if not table.num_rows:
        raise EmptyTable(expectation(name, "at least 1 row below the header", "none"))
    columns = {key: np.array(table.column(key).to_pylist(), object) for key in keys}
    words = [_take_missing(key, values) for key, values in columns.items()]
    notes = ["the column without a name is left out" for key in keys if not _is_named(text, key, columns[key])]
    columns = {key: values for key, values in columns.items() if not key.startswith("\0")}
    notes += filter(None, words)
    notes += filter(None, (text.check_long_cell(key, values) for key, values in columns.items()))
    form = f"CSV, separated by {DELIMITERS[text.delimiter]}, {file.encoding}"
    return RawTable(name, form, columns, is_text=True, place=text.place, notes=tuple(dict.fromkeys(notes)))


def _take_missing(name: str, values: np.ndarray) -> str:
    """Put None for the words that stand for a missing value, in place.

    Returns a note where other values are texts, as NA and None may be categories there.
    """
    spellings = {*values} & {*MISSING}
    if not spellings:
        return ""
    values[[value in spellings for value in values]] = None
    others = [value for value in values[: 1 << 12] if value is not None]
    if (
        not others
        or name.startswith("\0")
        or all(map(is_date, others))
        or np.isfinite(read_numbers(others).numbers).any()
    ):
        return ""
    words = " and ".join(sorted(spellings))
    verb, each = ("counts", "it is a category") if len(spellings) == 1 else ("count", "they are categories")
    return f"{words} in the column {name} {verb} as missing: write another word if {each}"


def _arrow_table(text: CsvText, keys: list[str]) -> Table:
    if not text.body.strip():
        raise EmptyTable(expectation(text.file, "at least 1 row below the header", "none"))
    try:
        return arrow_csv.read_csv(
            io.BytesIO(text.body.encode()),
            read_options=arrow_csv.ReadOptions(column_names=keys, block_size=MAX_CELL),
            parse_options=arrow_csv.ParseOptions(delimiter=text.delimiter, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(keys, string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except ArrowInvalid as error:
        raise text.uneven() or DataError(f"{text.file}: {error}") from error


def _split(text: str, name: str) -> CsvText:
    """Header and body."""
    excel = EXCEL_DELIMITER.match(text)
    above = excel.end() if excel else 0
    delimiter = excel[1] if excel and excel[1] in DELIMITERS else find_delimiter(text[above:], name)
    reader = csv.reader(io.StringIO(text[above:]), delimiter=delimiter)
    try:
        row = next(row for row in reader if "".join(row).strip())
    except csv.Error as error:
        raise CsvText(name, delimiter, [], "", 0).too_long(reader.line_num + bool(excel)) from error
    lines = reader.line_num
    start = above
    for _ in range(lines):
        start = text.find("\n", start) + 1 or len(text)
    skipped = lines + bool(excel)
    return CsvText(name, delimiter, _names(row, name, skipped), text[start:], skipped)


def _names(row: list[str], name: str, line: int) -> list[str]:
    names = [each.strip().removeprefix("\ufeff") for each in row]
    if all(_is_number(each) for each in names):
        fix = "add a first line with a name for each column"
        raise DataError(expectation(f"{name}, line {line}", "the names of the columns", f"{','.join(names):.60}", fix))
    check_names([each for each in names if each], name)
    return names


def _is_named(text: CsvText, key: str, values: np.ndarray) -> bool:
    """Whether a column has a name. The first may lack one, and one without values.

    Raises DataError where another has none.
    """
    if not key.startswith("\0"):
        return True
    index = int(key[1:])
    if index and any(value is not None for value in values):
        place = f"{text.file}, line {text.skipped}"
        raise DataError(expectation(place, "a name for each column", f"none for column {index + 1}"))
    return False


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
