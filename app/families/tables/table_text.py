"""The text of a file: uncompressed, in whatever encoding it was saved."""

import codecs
import gzip
import zlib
from pathlib import Path
from typing import NamedTuple

from app.errors import DataError, cause_text, expectation, path_text
from app.families.tables.raw_table import EmptyTable

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),  # before UTF-16, which begins as it does
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
GZIP = b"\x1f\x8b"
OTHER_FORMATS = {
    b"PK\x03\x04": "an Excel workbook or a zip archive: save the sheet as CSV, or unpack the archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save the sheet as CSV",
    b"SQLite format 3": "an SQLite database: export the table as CSV",
    b"\x89HDF": "an HDF5 file: save the table as Parquet",
    b"\x28\xb5\x2f\xfd": "a file compressed by zstd: decompress it, or compress it by gzip",
    b"BZh": "a file compressed by bzip2: decompress it, or compress it by gzip",
    b"\xfd7zXZ": "a file compressed by xz: decompress it, or compress it by gzip",
    b"%PDF": "a PDF: save the table as CSV",
    b"ARROW1": "an Arrow file: save the table as Parquet",
}
"""By the first bytes of a file, what it is, and what to do."""
TABLE = "a table: CSV, Parquet, JSON lines, or a folder with a file for each task"
SAMPLE = 1_000


class TableText(NamedTuple):
    """encoding: as users call it"""

    text: str
    encoding: str


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, decompressed if it is a .gz. Raises DataError where there is no such file, or no bytes."""
    if not path.exists():
        raise DataError(expectation(path_text(path), "the file of a table", "no such file", _similar(path)))
    try:
        data = path.read_bytes()
        if data.startswith(GZIP):
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(expectation(path_text(path), "a file that can be read", cause_text(error))) from error
    if not data.strip():
        raise EmptyTable(expectation(str(path), "a header and rows", "an empty file"))
    return data


def decode(data: bytes, name: str) -> TableText:
    """The text of a table's file: UTF-8, UTF-16, UTF-32 or Windows-1252. Raises DataError where it is no text.

    Text that is not UTF-8 is taken for Windows-1252, which old versions of Excel write.
    """
    for start, what in OTHER_FORMATS.items():
        if data.startswith(start):
            raise DataError(expectation(name, TABLE, what))
    candidates = [(codec, label) for mark, codec, label in BYTE_ORDER_MARKS if data.startswith(mark)]
    zeros = data[:SAMPLE].count(0)
    if not candidates and zeros:
        is_utf_16 = zeros > len(data[:SAMPLE]) / 4
        candidates = [("utf-16-le" if data[1:2] == b"\0" else "utf-16-be", "UTF-16")] if is_utf_16 else []
    elif not candidates:
        candidates = [("utf-8", "UTF-8"), ("cp1252", "Windows-1252")]
    for codec, label in candidates:
        try:
            text = data.decode(codec)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return TableText(text, label)
    fix = "save it as CSV in UTF-8" if zeros == 0 else ""
    raise DataError(expectation(name, TABLE, "bytes that are no text", fix))


def _similar(path: Path) -> str:
    """What to do about a file that is not there: files of a similar name in its folder."""
    from difflib import get_close_matches

    if not path.parent.is_dir():
        return f"there is no folder {path.parent} either"
    close = get_close_matches(path.name, [each.name for each in path.parent.iterdir()], n=1)
    return f"did you mean {path.parent / close[0]}?" if close else ""
