"""Texts with half of a surrogate pair, which JSON and Python can write and no file in UTF-8 can."""

from app.errors import DataError, expectation
from app.families.tables.raw_table import RawTable

HALF = "half of a surrogate pair"


def check_unicode(table: RawTable) -> None:
    """Raise DataError for the first name of a column, or the first value, that is no text in Unicode."""
    if not _is_unicode("".join(table.columns)):
        raise DataError(expectation(table.name, "names of columns in Unicode", HALF, "rename the column"))
    for name, values in table.columns.items():
        if values.dtype == object and not _is_unicode("".join(each for each in values if isinstance(each, str))):
            row = next(row for row, each in enumerate(values) if isinstance(each, str) and not _is_unicode(each))
            place = f"{table.name}, {table.place(row)}, {name}"
            raise DataError(expectation(place, "a text in Unicode", HALF, "correct it, or leave the row out"))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
