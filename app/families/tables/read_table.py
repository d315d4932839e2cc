"""Reading a table, whatever its format."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from app.errors import DataError, expectation
from app.families.tables.csv_rows import read_csv
from app.families.tables.json_lines import read_json_lines
from app.families.tables.parquet_rows import PARQUET, read_frame, read_parquet
from app.families.tables.raw_table import RawTable, check_names, plain_name
from app.families.tables.table_text import TABLE, decode, read_bytes
from app.families.tables.task_folder import read_folder
from app.families.tables.unicode_texts import check_unicode

JSON_ENDINGS = (".jsonl", ".ndjson", ".json")


def read_table(source: Path | Any, task: str = "") -> RawTable:
    """The columns of a table: a file, a folder with a file for each task, or a DataFrame.

    task: the column that names the task; for a folder, empty if the names of its files do

    Raises DataError where it cannot be read.
    """
    if isinstance(source, str):
        source = Path(source)
    if not isinstance(source, Path):
        table = read_frame(source)
    else:
        table = read_folder(source, read_file, task) if source.is_dir() else read_file(source, task)
    if not table.is_text:
        check_unicode(table)
    names = [plain_name(name) for name in table.columns]
    check_names(names, table.name)
    return replace(table, columns=dict(zip(names, table.columns.values(), strict=True)))


def read_file(path: Path, task: str = "") -> RawTable:
    """The columns of one file. Its first bytes say what it is, not its name."""
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(PARQUET)) == PARQUET:
                return read_parquet(path, task)
    text = decode(read_bytes(path), path.name)
    start = text.text.lstrip("\ufeff \t\r\n")[:1]
    if start == "{":
        return read_json_lines(text, path.name)
    if start == "[" and path.name.removesuffix(".gz").endswith(JSON_ENDINGS):
        fix = "write one object on each line, without brackets around them"
        raise DataError(expectation(path.name, TABLE, "a JSON array", fix))
    return read_csv(text, path.name)
