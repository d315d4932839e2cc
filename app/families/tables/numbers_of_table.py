"""Reading the numbers of a column of text, with what the other columns of its table show about decimal marks."""

from collections.abc import Sequence

from app.families.tables.number_text import LONG, Reading, read_numbers
from app.families.tables.raw_table import RawTable


def read_numbers_of(raw: RawTable, texts: Sequence[str], decimal: str) -> Reading:
    """Texts as numbers. What they leave open, other columns may show."""
    reading = read_numbers(texts, decimal)
    if reading.ambiguous and not decimal:
        commas = raw.decimal_marks == {","} or ("semicolons" in raw.form and "." not in raw.decimal_marks)
        return read_numbers(texts, ",") if commas else reading
    if reading.point_groups and "." not in raw.decimal_marks:
        if "," in raw.decimal_marks:
            return _thousands(texts, reading)
        if "semicolons" in raw.form:
            return reading._replace(ambiguous=f"{reading.point_groups}, which may be a thousand times as much")
    elif reading.point_groups and "," in raw.decimal_marks:
        return reading._replace(ambiguous=f"{reading.point_groups}, beside decimal commas and points in other columns")
    return reading


def _thousands(texts: Sequence[str], reading: Reading) -> Reading:
    """Points between thousands, unless other numbers of a thousand have none."""
    long = next((text for text in texts if LONG.fullmatch(text.strip())), None)
    if long is not None:
        return reading._replace(ambiguous=f"{reading.point_groups} beside {long}")
    return read_numbers(texts, ",")._replace(note="points between thousands, as other columns have decimal commas")
