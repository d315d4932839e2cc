"""What numpy and scikit-learn would take for other numbers without an error: it is refused, or becomes NaN."""

from collections.abc import Iterator, Mapping
from datetime import date, time, timedelta
from typing import Any

import numpy as np
from scipy.sparse import issparse

from innerloop_client.arrays import as_numpy, is_missing
from innerloop_client.errors import UnsupportedInput
from innerloop_client.named_rows import rows_with_names

FIXES = {
    "dates": "send the days since a certain date, for example",
    "durations": "send their seconds, for example",
    "bytes": "convert them to numbers",
}
"""What is refused, and what to do about it."""
KINDS = {"M": "dates", "m": "durations", "S": "bytes", "V": "bytes"}
"""What is refused among the types of numpy, by the kind of the type."""
TYPES = {
    "dates": (date, time, np.datetime64),
    "durations": (timedelta, np.timedelta64),
    "bytes": (bytes, bytearray, np.void),
}
"""What is refused among objects."""
MAX_FLOAT = int(np.finfo("float64").max)


def as_numbers(values: Any, place: str) -> Any:
    """Numbers whose masked values are NaN. A list becomes an array, as scikit-learn would make it one.

    Raises UnsupportedInput for dates, durations, bytes and records. Other values are left to scikit-learn.
    """
    refuse_records(values, place)
    values = unmasked(values, place)
    if isinstance(values, list | tuple):
        values = _array_of(values, place)
    if any(kind in "OMmSV" for kind in _kinds(values)):
        conversion = next(_found(np.asarray(values)), None)
        if conversion is not None:
            raise UnsupportedInput(f"{place}: expected numbers, got {conversion}: {FIXES[conversion]}")
    return values


def _array_of(values: Any, place: str) -> Any:
    """A list as an array, with NaN for what is missing. Raises UnsupportedInput for whole numbers beyond all floats."""
    array = np.asarray(values)
    if array.dtype.kind != "O":
        return array
    array[np.frompyfunc(is_missing, 1, 1)(array).astype(bool)] = float("nan")
    if any(isinstance(value, int) and abs(value) > MAX_FLOAT for value in array.flat):
        raise UnsupportedInput(f"{place}: expected numbers in the range of a float, got a larger one")
    return array


def unmasked(values: Any, place: str) -> Any:
    """A masked array, or a list of some, with NaN or None for what is masked. Anything else stays as it is."""
    if isinstance(values, np.ma.MaskedArray):
        return as_numpy(values, place)[()]  # a masked scalar as a scalar
    if isinstance(values, list | tuple) and any(isinstance(each, np.ma.MaskedArray) for each in values):
        return [unmasked(each, place) for each in values]
    return values


def refuse_rows_with_names(values: Any, place: str) -> None:
    """Raise UnsupportedInput for rows with names of their own, which scikit-learn takes by position."""
    refuse_records(values, place)
    if getattr(values, "ndim", 1) and rows_with_names(values):
        raise _names(place)


def refuse_records(values: Any, place: str) -> None:
    """Raise UnsupportedInput for structured arrays and dicts, and for lists of some."""
    kind = getattr(getattr(values, "dtype", None), "kind", "")
    rows = values if isinstance(values, list | tuple) or (kind == "O" and values.ndim) else ()
    if any(map(_is_record, (values, *rows))):
        raise _names(place)


def _is_record(value: Any) -> bool:
    if isinstance(value, Mapping):
        return not issparse(value)  # some sparse matrices are dicts
    return bool(getattr(getattr(value, "dtype", None), "names", None))


def _names(place: str) -> UnsupportedInput:
    fix = f"send pandas.DataFrame({place})"
    return UnsupportedInput(f"{place}: expected a DataFrame or an array, got rows with names: {fix}")


def _kinds(values: Any) -> list[str]:
    """The kinds of the types of an array, or of the columns of a table; none of what has no types."""
    types = getattr(values, "dtypes", getattr(values, "dtype", None))
    types = [] if types is None else list(types) if np.iterable(types) else [types]
    return [getattr(each, "kind", "O") for each in types]


def _found(array: Any) -> Iterator[str]:
    """What is refused in an array."""
    if array.dtype.kind in KINDS:
        yield KINDS[array.dtype.kind]
    for value in array.flat if array.dtype.kind == "O" else ():
        yield from (what for what, types in TYPES.items() if isinstance(value, types) and not is_missing(value))
