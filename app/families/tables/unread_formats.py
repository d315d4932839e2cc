"""Columns of text that look like numbers, dates or times in a form that is not read as such."""

import re
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from app.encoders.columns.date import is_date
from app.families.tables.column_data import ColumnData
from app.families.tables.number_text import leading_zero, read_numbers

NEARLY_ALL = 0.9
"""Of the texts of a column have the form."""
MAX_UNITS = 3
"""Numbers with more different units are names, such as 1a, 2b and 3c."""
SIGN = r"[$€£¥%‰°]"
CURRENCY = r"[$€£¥]|USD|EUR|GBP|CHF"
WITH_UNIT = re.compile(
    rf"(?:(?P<before>{CURRENCY})\s*)?(?P<number>[+\-\u2212]?\d(?:[\d.,'\u2019]*\d)?)(?P<space>\s*)"
    rf"(?P<after>(?:{SIGN}|[^\W\d_])\S{{0,11}})?"
)
ORDINALS = {"st", "nd", "rd", "th"}
MONTH = r"(0?[1-9]|1[0-2])"
MONTH_NAME = r"(jan|f[e\u00e9][bv]|m[a\u00e4]r|mrz|a[pv]r|ma[iy]|ju[nil]|aug|ao[u\u00fb]|sep|o[ck]t|nov|d[e\u00e9][cz])"
DAY = r"(0?[1-9]|[12]\d|3[01])"
YEAR = r"(18|19|20|21)\d\d"
DATES = re.compile(
    rf"{DAY}[./-]{DAY}[./-]({YEAR}|\d\d)(\D.*)?"  # 19.05.2024, 5/19/24 14:30
    rf"|{YEAR}[./-]{MONTH}([./-]{DAY})?(\D.*)?"  # 2024-05, 2024/05/19
    rf"|{MONTH}[./-]{YEAR}|{DAY}\.{MONTH}\."  # 05/2024, 19.05.
    rf"|{YEAR}\W?[QWHqwh]\d\d?|[QWHqwh]\d\d?\W?{YEAR}"  # 2024-W20, Q2 2024
    rf"|{DAY}\W+[^\W\d_]{{3,}}\W+{YEAR}(\D.*)?"  # 19 May 2024
    rf"|({DAY}\W*)?{MONTH_NAME}[^\W\d_]*\W*({DAY}\W+)?{YEAR}(\D.*)?"  # May 19, 2024
    rf"|{DAY}\W*{MONTH_NAME}[^\W\d_]*\W*\d\d(\D.*)?|{MONTH_NAME}[-/']\d\d",  # 19-May-24, May-24
    re.IGNORECASE,
)
TIMES = re.compile(r"\d{1,3}[:h][0-5]\d(:[0-5]\d([.,]\d+)?)?(\s*[ap]\.?m\.?)?|\d{1,2}\s*[ap]\.?m\.?", re.IGNORECASE)
MAX_ROWS = 20_000
"""Of which the form is looked for."""


class WrittenForm(NamedTuple):
    """What texts look like, such as `numbers with kg`, and what to do."""

    looks: str
    fix: str


def written_form(data: ColumnData) -> WrittenForm | None:
    """The form of nearly all texts of a column of categories; None where they are ordinary texts."""
    if data.type != "category":
        return None
    present = data.present[:: max(1, len(data.present) // MAX_ROWS)]
    counts = Counter(value.strip() for value in present if isinstance(value, str))
    if len(counts) < 2 or counts.total() < len(present):
        return None
    if data.quoted_numbers:
        return None if leading_zero(counts) else WrittenForm("numbers in quotes", "write numbers without quotes")
    if _share(counts, TIMES.fullmatch) >= NEARLY_ALL:
        return WrittenForm("times", "write times as numbers, such as 14.5 hours for 14:30")
    if _share(counts, lambda text: DATES.fullmatch(text) or is_date(text)) >= NEARLY_ALL:
        return WrittenForm("dates", "write dates as 2026-03-31")
    return _with_unit(counts)


def _with_unit(counts: Counter[str]) -> WrittenForm | None:
    matches = {text: WITH_UNIT.fullmatch(text) for text in counts}
    parts = {text: each for text, each in matches.items() if each and (each["before"] or each["after"])}
    if _share(counts, parts.__contains__) < NEARLY_ALL:
        return None
    units = Counter(each["before"] or each["after"] for each in parts.values())
    numbers = {each["number"] for each in parts.values()}
    readable = np.isfinite(read_numbers([*numbers]).numbers).mean()
    apart = all(each["space"] or not each["after"] or re.match(SIGN, each["after"]) for each in parts.values())
    if len(numbers) < 2 or readable < NEARLY_ALL or len(units) > (MAX_UNITS if apart else 1) or ORDINALS & {*units}:
        return None
    names = " and ".join(units)
    one = " in one unit" if len(units) > 1 else ""
    fix = f"write numbers{one} without {names}; a unit may stand in the name of the column, as in dose (mg)"
    return WrittenForm(f"numbers with {names}", fix)


def _share(counts: Counter[str], fits: Callable[[str], object]) -> float:
    """Of the texts, each counted as often as it occurs."""
    return sum(count for text, count in counts.items() if fits(text)) / counts.total()
