"""Reading a folder with a file for each task."""

from collections.abc import Callable, Sequence
from pathlib import Path
from unicodedata import normalize

import numpy as np

from app.errors import DataError, expectation, shown
from app.families.tables.raw_table import EmptyTable, RawTable

FILE = "file"
"""The column that has the name of each row's file, without its ending."""
ENDINGS = (".csv", ".tsv", ".txt", ".parquet", ".jsonl", ".ndjson")
MAX_NOTES = 10


def read_folder(folder: Path, read: Callable[[Path, str], RawTable], task: str) -> RawTable:
    """The rows of all files, one below the other, with the name of the file in the column `file`.

    read: reads one file

    Raises DataError where there is no file, or where one has other columns than the first.
    """
    files, tables, empty = _read_files(folder, read, task)
    if task in ("", FILE):
        _check_names(folder, files)
    first = tables[0]
    for table in tables[1:]:
        _check_alike(folder, first, table)
    columns = {name: np.concatenate([table.columns[name].astype(object) for table in tables]) for name in first.columns}
    if FILE in columns:
        fix = f"name the task with --task {FILE}" if task == FILE else "rename the column"
        if task != FILE:
            raise DataError(expectation(first.name, "no column called file", shown(FILE), fix))
    else:
        names = [_stem(file) for file in files]
        columns[FILE] = np.repeat(np.array(names, object), [table.rows for table in tables])
    starts = np.cumsum([0, *(table.rows for table in tables)])

    def place(row: int) -> str:
        index = int(np.searchsorted(starts, row, side="right")) - 1
        return f"{tables[index].name}, {tables[index].place(row - int(starts[index]))}"

    form = f"a folder of {len(files):,} files: {first.form}"
    return RawTable(folder.name, form, columns, first.is_text, place, notes=(*_notes(tables), *empty))


def _read_files(
    folder: Path, read: Callable[[Path, str], RawTable], task: str
) -> tuple[list[Path], list[RawTable], list[str]]:
    """The files with rows, their tables, and a note on each file without rows."""
    candidates = sorted(each for each in folder.iterdir() if _is_table(each))
    if not candidates:
        raise DataError(expectation(str(folder), f"files that end in {', '.join(ENDINGS)}", "none"))
    files, tables, empty = [], [], []
    for file in candidates:
        try:
            tables.append(read(file, task))
        except EmptyTable as error:
            empty.append(f"{file.name} has no rows: left out")
            cause = error
        else:
            files.append(file)
    if not tables:
        raise cause
    return files, tables, empty


def _check_alike(folder: Path, first: RawTable, table: RawTable) -> None:
    """Raise DataError where a file has other columns than the first, or where one of them alone is text."""
    if {*table.columns} != {*first.columns}:
        actual = f"{', '.join(table.columns)} in {table.name}"
        raise DataError(expectation(str(folder), f"the columns {', '.join(first.columns)} in each file", actual))
    if table.is_text != first.is_text:
        actual = " and ".join(f"{each.form.partition(',')[0]} in {each.name}" for each in (first, table))
        fix = "write all as CSV, or all as Parquet or JSON lines"
        raise DataError(expectation(str(folder), "files of one format", actual, fix))


def _is_table(file: Path) -> bool:
    """Whether a file may be a table by its name; those that systems hide and what people should read are none."""
    name = file.name.lower()
    if name.startswith((".", "readme", "license")) or not file.is_file():
        return False
    return name.removesuffix(".gz").endswith(ENDINGS)


def _check_names(folder: Path, files: Sequence[Path]) -> None:
    """Raise DataError where two files would be one task."""
    seen: dict[str, Path] = {}
    for file in files:
        other = seen.setdefault(normalize("NFC", _stem(file)), file)
        if other is not file:
            actual, fix = f"{other.name} and {file.name}", "rename or remove one, as the name is that of the task"
            raise DataError(expectation(str(folder), "files of different names", actual, fix))


def _notes(tables: Sequence[RawTable]) -> list[str]:
    """What all files say once, and what some say with their name."""
    common = set.intersection(*({*table.notes} for table in tables))
    own = [f"{table.name}: {note}" for table in tables for note in table.notes if note not in common]
    return [*sorted(common), *own[:MAX_NOTES]]


def _stem(file: Path) -> str:
    name = file.name[: -len(".gz")] if file.name.lower().endswith(".gz") else file.name
    return name[: name.rindex(".")]
