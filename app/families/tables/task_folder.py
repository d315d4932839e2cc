"""Reading a folder with a file for each task."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from app.errors import DataError, expectation, shown
from app.families.tables.raw_table import RawTable

FILE = "file"
"""The column that has the name of each row's file, without its ending."""
ENDINGS = (".csv", ".tsv", ".txt", ".parquet", ".jsonl", ".ndjson")


def read_folder(folder: Path, read: Callable[[Path, str], RawTable], task: str) -> RawTable:
    """The rows of all files, one below the other, with the name of the file in the column `file`.

    read: reads one file

    Raises DataError where there is no file, or where one has other columns than the first.
    """
    files = sorted(each for each in folder.iterdir() if each.name.removesuffix(".gz").endswith(ENDINGS))
    if not files:
        raise DataError(expectation(str(folder), f"files that end in {', '.join(ENDINGS)}", "none"))
    tables = [read(file, task) for file in files]
    first = tables[0]
    for table in tables[1:]:
        if {*table.columns} != {*first.columns} or table.is_text != first.is_text:
            actual = f"{', '.join(table.columns)} in {table.name}"
            raise DataError(expectation(str(folder), f"the columns {', '.join(first.columns)} in each file", actual))
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
    return RawTable(folder.name, form, columns, first.is_text, place, notes=first.notes)


def _stem(file: Path) -> str:
    name = file.name.removesuffix(".gz")
    return name[: name.rindex(".")]
