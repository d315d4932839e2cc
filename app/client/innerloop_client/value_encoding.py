"""Any value as it is sent. An error names the field that the value is in."""

from collections.abc import Iterable, Mapping
from datetime import date, time
from typing import Any

from innerloop_client.arrays import Array, as_numpy, date_texts, is_a, is_missing
from innerloop_client.errors import UnsupportedInput, shown

PLAIN = frozenset({float, int, bool, type(None)})
"""The types of values that can be sent whatever they are."""
MAX_AXES = 4
"""The most axes of a raw array."""
MAX_DEPTH = 32
"""How deep lists and objects may be nested."""


def plain(value: Any, place: str, depth: int = 0) -> Any:
    """A row, a target, a cell or an option as values of JSON and bytes. Raises UnsupportedInput.

    Scalars of numpy and pandas become Python's, missing values None, and dates ISO 8601.
    """
    if type(value) in PLAIN:  # most are
        return value
    if depth > MAX_DEPTH:
        raise UnsupportedInput(f"{place}: expected at most {MAX_DEPTH} levels of lists, got more, or a list in itself")
    if is_missing(value):
        return None
    if isinstance(value, str):
        return as_text(value, place)
    if isinstance(value, bool | int | float):
        return value
    if is_a(value, "decimal", "Decimal") or is_a(value, "fractions", "Fraction"):
        return _as_float(value, place)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Mapping):
        pairs = zip(as_names(value, place), value.values(), strict=True)
        return {name: plain(each, f"{place}.{name}", depth + 1) for name, each in pairs}
    if is_a(value, "array", "array"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(each, place, depth + 1) for each in value]
    array = as_numpy(value, place)
    if array is None:
        raise UnsupportedInput(f"{place}: cannot send a value of type {type(value).__name__}: {_instead_of(value)}")
    return plain(_items(array, place), place, depth + 1)


def _instead_of(value: Any) -> str:
    """What to send instead of a value that cannot be sent."""
    if hasattr(value, "toarray"):  # a sparse matrix
        return "send its toarray()"
    if hasattr(value, "total_seconds"):  # a duration
        return "send its total_seconds()"
    if isinstance(value, bytes | bytearray):
        return "send its decode(), a text"
    return "send a list" if hasattr(value, "__iter__") else "send numbers, texts, or lists or arrays of them"


def _as_float(value: Any, place: str) -> float:
    """A number of any type as a float. Raises UnsupportedInput for one that is too large, or a signaling NaN."""
    try:
        return float(value)
    except ValueError as error:
        raise UnsupportedInput(f"{place}: expected a number, got {value}: send None if it is missing") from error
    except OverflowError as error:
        raise UnsupportedInput(f"{place}: expected a number in the range of a float, got a larger one") from error


def to_wire(array: Any, place: str) -> Any:
    """Rows in a numpy array: an `Array` of numbers, or a list of texts, dates and other objects."""
    if array.ndim == 0:
        raise UnsupportedInput(f"{place}: expected rows, got a single value")
    if array.dtype.names:
        return list(array.reshape(-1))  # as records, which have names
    if array.dtype.kind in "biuf" and array.ndim <= MAX_AXES:
        return Array(array.astype("float64") if array.dtype.itemsize > 8 else array)
    return _items(array, place)


def as_names(names: Iterable[Any], place: str) -> list[str]:
    """Names of columns as texts. Raises UnsupportedInput for other types, and for two names that are the same text."""
    given, texts = list(names), dict[str, None]()
    if set(map(type, given)) == {str} and len(set(given)) == len(given) and "".join(given).isascii():
        return given  # most are
    for name in given:
        try:
            text = as_text(str(name), place) if isinstance(name, str | int | float) else None
        except ValueError as error:  # of a whole number with thousands of digits
            raise UnsupportedInput(f"{place}: expected short names, got a number of thousands of digits") from error
        if text is None:
            raise UnsupportedInput(f"{place}: expected texts as names, got {shown(name)}")
        if text in texts:
            raise UnsupportedInput(f"{place}: expected each name once, got {shown(text)} twice")
        texts[text] = None
    return list(texts)


def as_text(text: str, place: str) -> str:
    """The same text. Raises UnsupportedInput for one that cannot be sent as UTF-8."""
    if not sendable(text):
        raise UnsupportedInput(f"{place}: expected Unicode, got half of a surrogate pair in {shown(text)}")
    return text


def sendable(text: str) -> bool:
    """Whether a text can be sent as UTF-8: it has no half of a surrogate pair, which is no character."""
    return text.isascii() or text.encode(errors="ignore") == text.encode(errors="surrogatepass")


def _items(array: Any, place: str) -> Any:
    """A numpy array as a list, or as a scalar if it has no axes."""
    kind = array.dtype.kind
    if kind == "c":
        raise UnsupportedInput(f"{place}: expected real numbers, got {array.dtype}")
    if kind == "m":
        raise UnsupportedInput(f"{place}: expected numbers, got durations: send their seconds, for example")
    if kind == "f" and array.dtype.itemsize > 8:
        array = array.astype("float64")
    return (date_texts(array) if kind == "M" else array).tolist()
