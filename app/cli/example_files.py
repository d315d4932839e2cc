"""Files of examples and queries: CSV, JSON lines and Parquet. The content says which it is, and the name in doubt."""

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.cli.parquet_files import read_parquet
from app.errors import LONG_NUMBER, READABLE, InnerloopError, expectation, has_long_number, path_text, shown

STDIN = STDOUT = Path("-")
PARQUET = b"PAR1"
"""The first bytes of a Parquet file."""
ENCODINGS = {b"\xff\xfe\0\0": "UTF-32", b"\0\0\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
"""The first bytes of a text in encodings that are not read. One begins as another does."""
LINE = re.compile(r"\r\n|\r|\n")
JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
JSON_START = re.compile(r'\s*(\{\s*("|\}|$)|\[\s*([\[{"]|$))', re.MULTILINE)
"""How objects and lists of JSON begin, and hardly ever the name of a column, such as [Ca2+]."""


@dataclass(frozen=True)
class Csv:
    """A CSV, whose cells the server reads.

    columns: their names, as the server reads them
    header: the text up to the first row; rest: the text from there on
    """

    columns: list[str]
    header: str
    rest: str

    def renamed(self, names: Mapping[str, str]) -> bytes:
        """The file, with new names for some columns. Each line keeps its number, for what the server says of it."""
        if all(old == new for old, new in names.items()):
            return (self.header + self.rest).encode()
        row = io.StringIO()
        # the writer quotes a name that has one of the two characters
        csv.writer(row, lineterminator="\r\n").writerow([names.get(name, name) for name in self.columns])
        breaks = len(LINE.findall(self.header)) - len(LINE.findall(row.getvalue()))
        return ("\n" * breaks + row.getvalue() + self.rest).encode()


@dataclass(frozen=True)
class Rows:
    """Objects with values that have types. place: (number of a row, from 0) -> where it is in the file"""

    columns: list[str]
    rows: list[dict[str, Any]]
    place: Callable[[int], str]

    def values(self, columns: list[str]) -> list[list[Any]]:
        """The values of some columns, [row][column]. Raises InnerloopError where one is missing."""
        for index, row in enumerate(self.rows):
            if missing := [name for name in columns if name not in row]:
                expected = f"the columns {', '.join(columns)}"
                raise InnerloopError(expectation(self.place(index), expected, f"no {missing[0]}"))
        return [[row[name] for name in columns] for row in self.rows]


def read_examples(file: Path) -> Csv | Rows:
    """The examples or queries of a file, or of stdin for `-`. Raises InnerloopError."""
    name = name_of(file)
    try:
        data = _read_stdin() if file == STDIN else file.read_bytes()
    except OSError as error:
        raise InnerloopError(f"FILE: cannot read {name}: {error.strerror}") from error
    return parse_examples(data, name, file.suffix)


def name_of(file: Path) -> str:
    """What messages call a file."""
    return "stdin" if file == STDIN else path_text(file)


def parse_examples(data: bytes, name: str, suffix: str) -> Csv | Rows:
    """The examples or queries in the content of a file. Raises InnerloopError.

    name: what messages call the file; suffix: of its own name
    """
    if data.startswith(PARQUET):
        columns, rows = read_parquet(data, name)
        return Rows(columns, rows, lambda index: f"row {index + 1}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        actual = next((name for start, name in ENCODINGS.items() if data.startswith(start)), None)
        actual = actual or f"the byte 0x{data[error.start]:02x}"
        expected, fix = "CSV or JSON lines in UTF-8, or Parquet", "save it as one of these"
        raise InnerloopError(expectation(name, expected, actual, fix)) from error
    if not text.strip():
        raise InnerloopError(expectation(name, "CSV, JSON lines or Parquet", "an empty file"))
    if not _is_json(text.lstrip(), suffix.lower()):
        return _read_csv(text, name)
    if text.lstrip().startswith("["):
        raise InnerloopError(expectation(name, "a JSON object on each line", "a JSON list"))
    return _read_lines(text, name)


def _is_json(text: str, suffix: str) -> bool:
    """Whether the first line is JSON, or begins like JSON that has a mistake. Otherwise it has names of columns.

    suffix: of the name of the file, in small letters
    """
    if suffix in JSON_SUFFIXES:
        return True
    try:
        value = json.loads(LINE.split(text, 1)[0])
    except RecursionError:
        return True
    except ValueError as error:
        return (suffix != ".csv" or has_long_number(error)) and JSON_START.match(text) is not None
    return isinstance(value, dict) or (suffix != ".csv" and isinstance(value, list))


def _read_stdin() -> bytes:
    if sys.stdin is None:  # as with `<&-`
        raise InnerloopError("FILE: cannot read stdin: it is closed")
    return sys.stdin.buffer.read()


def _read_csv(text: str, name: str) -> Csv:
    file = io.StringIO(text, newline="")
    reader = csv.reader(file, skipinitialspace=True)
    try:
        columns = next((row for row in reader if row), [])
    except csv.Error as error:
        raise InnerloopError(f"{name}, line {reader.line_num}: this is not CSV: {error}") from error
    header = text[: file.tell()]
    return Csv([column.strip() for column in columns], header, text[len(header) :])


def _read_lines(text: str, name: str) -> Rows:
    """Each line of JSON lines that is not blank."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    rows = [_read_line(line, f"{name}, line {number}") for number, line in lines]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return Rows(columns, rows, lambda index: f"line {lines[index][0]}")


def _read_line(line: str, place: str) -> dict[str, Any]:
    """A row of JSON lines. Raises InnerloopError at `place`."""
    try:
        row = json.loads(line, object_pairs_hook=_with_each_name_once)
        json.dumps(row, ensure_ascii=False).encode()
    except _TwiceError as error:
        raise InnerloopError(f"{place}: the name {shown(str(error))} appears twice, so rename or remove one") from error
    except RecursionError as error:
        raise InnerloopError(expectation(place, "a JSON object", "one that is nested too deeply")) from error
    except UnicodeEncodeError as error:
        raise InnerloopError(
            expectation(place, "texts in Unicode", "half of a surrogate pair, such as \\ud800")
        ) from error
    except ValueError as error:
        if has_long_number(error):
            raise InnerloopError(expectation(place, READABLE, LONG_NUMBER)) from error
        raise InnerloopError(expectation(place, "a JSON object on each line", shown(line.strip()))) from error
    if not isinstance(row, dict):
        raise InnerloopError(expectation(place, "a JSON object", shown(line.strip())))
    return row


class _TwiceError(Exception):
    """An object has a name twice, and its values cannot both be meant."""


def _with_each_name_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise _TwiceError(next(name for name in names if names.count(name) > 1))
    return row


class _Lines(list[str]):
    """Gets the lines of a CSV writer that ends them with CR LF, and ends them with LF."""

    def write(self, line: str) -> None:
        self.append(line.removesuffix("\r\n") + "\n")


def write_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows as the text of a CSV that the server reads."""
    lines = _Lines()
    # the writer quotes a cell that has a character of its line end, so CR has to be one
    writer = csv.writer(lines, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([str(value).lower() if isinstance(value, bool) else value for value in row] for row in rows)
    return "".join(lines)
