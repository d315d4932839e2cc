"""The form that came in goes out: lists, arrays of numpy, tensors of torch, Series and DataFrames of pandas."""

import sys
from collections.abc import Sequence
from itertools import chain
from math import isfinite
from typing import Any

from innerloop_client import msgpack
from innerloop_client.arrays import is_a
from innerloop_client.body_encoding import JSON
from innerloop_client.errors import shown

REALS: frozenset[type] = frozenset({float, int, type(None)})
LABELS: frozenset[type] = frozenset({float, int, bool, str})
ACTIONS: frozenset[type] = frozenset({int})
TRUTHS: frozenset[type] = frozenset({bool})
"""The types of numbers, labels, actions and truth values in an answer."""


class Form:
    """Plain Python lists. None stands where the server has no number.

    `read_rows`, `read_column` and `read_losses` read an answer, and raise an error if it is something else. The other
    methods make of it what the user gets.

    accept: the media type of the answer to ask for
    """

    accept = JSON

    def read_rows(self, values: Any) -> Any:
        """Numbers [query][number]."""
        if {list} != set(map(type, values)) or len(set(map(len, values))) != 1 or not values[0]:
            raise TypeError(f"expected rows, got {shown(values)}")
        numbers = scalars([*chain.from_iterable(values)], REALS)
        if not all(isfinite(number) for number in numbers if number is not None):
            raise ValueError(f"expected finite numbers, got {shown(values)}")
        return values

    def read_column(self, values: Any, types: frozenset[type]) -> Any:
        """A label, an action or a truth value for each query. types: that it may have"""
        return scalars(values, types)

    def read_losses(self, values: Any) -> list[float | None]:
        """Numbers that are not about queries, as a list. None stands where the server has no number."""
        return scalars(values, REALS)

    def numbers(self, rows: Any, names: Sequence[Any] = ()) -> Any:
        """Numbers [query][number]; those of a single column become [query]. names: of the columns."""
        return [row[0] for row in rows] if len(rows[0]) == 1 else rows

    def rows(self, rows: Any, names: Sequence[Any] = ()) -> Any:
        """Numbers [query][number]. names: of the columns."""
        return rows

    def column(self, values: Any, name: Any = None) -> Any:
        """A value for each query. name: of the column."""
        return values


class NumpyForm(Form):
    """Arrays of numpy. Numbers are float32, as the server computes them, and NaN where it has none."""

    accept = msgpack.MEDIA

    def read_rows(self, values: Any) -> Any:
        """See `Form`."""
        return _array(values if isinstance(values, dict) else super().read_rows(values), axes=2)

    def read_column(self, values: Any, types: frozenset[type]) -> Any:
        """See `Form`. Labels of several types stay objects."""
        if isinstance(values, dict):
            return _array(values, axes=1)
        kinds = set(map(type, scalars(values, types)))
        # numpy removes a zero at the end of a text
        plain = len(kinds) == 1 and not (str in kinds and any(text.endswith("\0") for text in values))
        return sys.modules["numpy"].asarray(values, None if plain else object)

    def read_losses(self, values: Any) -> list[float | None]:
        """See `Form`."""
        if not isinstance(values, dict):
            return super().read_losses(values)
        return [None if number != number else number for number in _array(values, axes=1).tolist()]

    def numbers(self, rows: Any, names: Sequence[Any] = ()) -> Any:
        """See `Form`."""
        return self.column(rows[:, 0], *names[:1]) if rows.shape[1] == 1 else self.rows(rows, names)


class TorchForm(NumpyForm):
    """Tensors of torch on the device of the queries. Labels that are texts are a list."""

    def __init__(self, device: Any) -> None:
        self.device = device

    def rows(self, rows: Any, names: Sequence[Any] = ()) -> Any:
        """See `Form`."""
        return self._tensor(rows)

    def column(self, values: Any, name: Any = None) -> Any:
        """See `Form`."""
        return self._tensor(values) if values.dtype.kind in "biuf" else values.tolist()

    def _tensor(self, array: Any) -> Any:
        return sys.modules["torch"].from_numpy(array.copy()).to(self.device)


class PandasForm(NumpyForm):
    """Series and DataFrames with the index of the queries."""

    def __init__(self, index: Any) -> None:
        self.index = index

    def rows(self, rows: Any, names: Sequence[Any] = ()) -> Any:
        """See `Form`."""
        return sys.modules["pandas"].DataFrame(rows, index=self.index, columns=list(names) or None)

    def column(self, values: Any, name: Any = None) -> Any:
        """See `Form`."""
        return sys.modules["pandas"].Series(values, index=self.index, name=name)


def form_of(queries: Any) -> Form:
    """The form of queries; lists for anything but arrays, tensors, Series and DataFrames."""
    if is_a(queries, "pandas", "DataFrame") or is_a(queries, "pandas", "Series"):
        return PandasForm(queries.index)
    if is_a(queries, "torch", "Tensor"):
        return TorchForm(queries.device)
    return NumpyForm() if hasattr(queries, "__array__") else Form()


def scalars(values: Any, types: frozenset[type]) -> list[Any]:
    """The same list. Raises TypeError for anything but a list of values of these types."""
    if type(values) is not list or not types.issuperset(map(type, values)):
        raise TypeError(f"expected a list of values, got {shown(values)}")
    return values


def width(rows: Any) -> int:
    """How many columns rows have, in any form."""
    return len(rows[0]) if isinstance(rows, list) else rows.shape[1]


def lack_numbers(rows: Any) -> bool:
    """Whether a number is missing in rows: None in lists, NaN in arrays."""
    return any(None in row for row in rows) if isinstance(rows, list) else bool((rows != rows).any())


def are_above(rows: Any, others: Any) -> bool:
    """Whether a number of rows is above that of others at the same place, in any form."""
    if not isinstance(rows, list):
        return bool((rows > others).any())
    pairs = zip(chain.from_iterable(rows), chain.from_iterable(others), strict=True)
    return any(None not in pair and pair[0] > pair[1] for pair in pairs)


def are_outside(rows: Any, low: float, high: float) -> bool:
    """Whether a number of rows is below `low` or above `high`, in any form."""
    if isinstance(rows, list):
        return not all(low <= number <= high for number in chain.from_iterable(rows))
    return bool(((rows < low) | (rows > high)).any())


def _array(values: Any, axes: int) -> Any:
    """Numbers as an array. Raises an error for anything but numbers with so many axes, raw or as lists."""
    numpy = sys.modules["numpy"]
    if isinstance(values, dict):
        kind = numpy.dtype(values["dtype"])
        array = numpy.frombuffer(values["data"], kind.newbyteorder("<")).reshape(values["shape"]).astype(kind)
    else:
        array = numpy.asarray(values, "float32")
    if array.dtype.kind not in "biuf" or array.ndim != axes or not array.size or numpy.isinf(array).any():
        raise TypeError(f"expected finite numbers with {axes} axes, got {shown(values)}")
    return array
