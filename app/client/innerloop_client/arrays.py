"""Arrays of numpy, torch and others, recognised without importing the library that they come from."""

import sys
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import chain
from typing import Any

from innerloop_client.errors import MissingExtra, UnsupportedInput, reason

CODES = {float: ("d", "float64"), int: ("q", "int64")}
"""The type codes of `array.array` and the names of the types, for lists of one type."""


@dataclass(frozen=True)
class Array:
    """Numbers on their way to the server. values: a numpy array, of a type and with axes that raw arrays can have."""

    values: Any

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return int(self.values.size)

    @property
    def stays_raw(self) -> bool:
        """Whether it has to be raw at any size: uint8 tells levels of gray from ink, and JSON has no such type."""
        return bool(self.values.dtype.name == "uint8" and self.values.ndim > 1)

    def raw(self) -> dict[str, Any]:
        """As raw bytes: little-endian, in row-major order."""
        values = self.values.astype(self.values.dtype.newbyteorder("<"), order="C", copy=False)
        return {"shape": list(values.shape), "data": values.tobytes(), "dtype": values.dtype.name}


def is_a(value: Any, module: str, name: str) -> bool:
    """Whether a value is of a class of a module, which only counts if somebody has imported it."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(value, kind)


def extra(module: str, package: str, extra_name: str, purpose: str) -> Any:
    """A module of an optional package. Raises MissingExtra that names the package and the purpose."""
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtra(f"{purpose} needs {package}: pip install {package}") from error


def as_numpy(value: Any, place: str) -> Any:
    """The numpy array of an array or tensor; None for anything else. Raises UnsupportedInput."""
    read: Callable[[Any], Any]
    if is_a(value, "torch", "Tensor"):
        read = _from_torch
    elif is_a(value, "numpy.ma", "MaskedArray"):
        read = _from_masked
    elif hasattr(value, "__array__") and not isinstance(value, type):
        read = extra("numpy", "numpy", "numpy", f"A value of type {type(value).__name__}").asarray
    else:
        return None
    try:
        return read(value)
    except Exception as error:  # of an object of the user, which may raise anything
        raise UnsupportedInput(f"{place}: cannot read the {type(value).__name__} ({reason(error)})") from error


def is_missing(value: Any) -> bool:
    """Whether a value is None, or the NA or NaT of pandas."""
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def date_texts(dates: Any) -> Any:
    """An array of datetime64 as ISO 8601; None for NaT."""
    texts = dates.astype(str).astype(object)
    texts[sys.modules["numpy"].isnat(dates)] = None
    return texts


def _from_torch(tensor: Any) -> Any:
    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    known = str(tensor.dtype) in ("torch.float16", "torch.float32", "torch.float64")
    return (tensor.float() if tensor.is_floating_point() and not known else tensor).numpy()


def _from_masked(array: Any) -> Any:
    """Masked numbers become NaN, other masked values None."""
    if not array.mask.any():
        return array.data
    dtype, missing = ("float64", float("nan")) if array.dtype.kind in "biuf" else ("object", None)
    values = array.data.astype(dtype)
    values[array.mask] = missing
    return values


def packed(rows: Sequence[Any], least: int) -> dict[str, Any] | None:
    """Rows of numbers of one type as a raw array; None for fewer than `least` numbers and for anything else."""
    width = len(rows[0]) if rows and isinstance(rows[0], list | tuple) else 0
    if len(rows) * width < least or any(not isinstance(row, list | tuple) or len(row) != width for row in rows):
        return None
    types = set(map(type, chain.from_iterable(rows)))
    code, dtype = CODES.get(types.pop(), ("", "")) if len(types) == 1 else ("", "")
    if not code:
        return None
    try:
        numbers = array(code, chain.from_iterable(rows))
    except OverflowError:
        return None
    if sys.byteorder == "big":
        numbers.byteswap()
    return {"shape": [len(rows), width], "data": numbers.tobytes(), "dtype": dtype}
