"""Arrays of numpy, torch and others, recognised without importing the library that they come from."""

import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import chain
from typing import Any

from innerloop_client.errors import MissingExtra, UnsupportedInput

MAX_AXES = 4
"""The most axes of a raw array."""
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


def as_numpy(value: Any) -> Any:
    """The numpy array of an array or tensor; None for anything else."""
    if is_a(value, "numpy", "ndarray"):
        return value
    if is_a(value, "torch", "Tensor"):
        tensor = value.detach().cpu()
        return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
    if hasattr(value, "__array__") and not isinstance(value, type):
        return extra("numpy", "numpy", "numpy", f"A value of type {type(value).__name__}").asarray(value)
    return None


def to_wire(values: Any, place: str) -> Any:
    """A numpy array as it is sent: an `Array`, or a list of texts, dates and other objects."""
    if values.ndim == 0:
        raise UnsupportedInput(f"{place}: expected rows, got a single value")
    if values.dtype.kind in "biuf" and values.ndim <= MAX_AXES:
        return Array(values.astype("float64") if values.dtype.itemsize > 8 else values)
    if values.dtype.kind == "c":
        raise UnsupportedInput(f"{place}: expected real numbers, got {values.dtype}")
    return (values.astype(str) if values.dtype.kind in "mM" else values).tolist()


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
