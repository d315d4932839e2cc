"""The form that came in goes out: lists, arrays of numpy, tensors of torch, Series and DataFrames of pandas."""

import sys
from collections.abc import Sequence
from itertools import chain
from typing import Any

from innerloop_client import msgpack
from innerloop_client.arrays import is_a
from innerloop_client.body_encoding import JSON
from innerloop_client.errors import shown

NUMBERS: frozenset[type] = frozenset({float, int, bool, type(None)})
"""The types of numbers and of truth values in an answer."""
SCALARS: frozenset[type] = NUMBERS | {str}


class Form:
    """Plain Python lists. None stands where the server has no number.

    accept: the media type of the answer to ask for
    """

    accept = JSON

    def numbers(self, values: Any, names: Sequence[Any] = ()) -> Any:
        """Numbers [query][number]; those of a single column become [query]. names: of the columns."""
        rows = self.rows(values, names)
        return [row[0] for row in rows] if len(rows[0]) == 1 else rows

    def rows(self, values: Any, names: Sequence[Any] = ()) -> Any:
        """Numbers [query][number]."""
        if {list} != set(map(type, values)) or len(set(map(len, values))) != 1 or not values[0]:
            raise TypeError(f"expected rows, got {shown(values)}")
        scalars([*chain.from_iterable(values)], NUMBERS)
        return values

    def column(self, values: Any, name: Any = None) -> Any:
        """A label, an action or a truth value for each query."""
        return scalars(values)

    def plain(self, values: Any) -> list[float | None]:
        """Numbers that are not about queries, as a list. None stands where the server has no number."""
        return list(values)


class NumpyForm(Form):
    """Arrays of numpy. Numbers are float32, as the server computes them, and NaN where it has none."""

    accept = msgpack.MEDIA

    def numbers(self, values: Any, names: Sequence[Any] = ()) -> Any:
        """See `Form`."""
        array = _array(values)
        return self.column(array[:, 0], *names[:1]) if array.shape[1] == 1 else self.rows(array, names)

    def rows(self, values: Any, names: Sequence[Any] = ()) -> Any:
        """See `Form`."""
        return _array(values)

    def column(self, values: Any, name: Any = None) -> Any:
        """See `Form`. Labels of several types stay objects."""
        return _labels(values)

    def plain(self, values: Any) -> list[float | None]:
        """See `Form`."""
        return [None if number != number else number for number in _array(values).tolist()]


class TorchForm(NumpyForm):
    """Tensors of torch on the device of the queries. Labels that are texts are a list."""

    def __init__(self, device: Any) -> None:
        self.device = device

    def rows(self, values: Any, names: Sequence[Any] = ()) -> Any:
        """See `Form`."""
        return self._tensor(_array(values))

    def column(self, values: Any, name: Any = None) -> Any:
        """See `Form`."""
        array = _labels(values)
        return self._tensor(array) if array.dtype.kind in "biuf" else array.tolist()

    def _tensor(self, array: Any) -> Any:
        return sys.modules["torch"].from_numpy(array.copy()).to(self.device)


class PandasForm(NumpyForm):
    """Series and DataFrames with the index of the queries."""

    def __init__(self, index: Any) -> None:
        self.index = index

    def rows(self, values: Any, names: Sequence[Any] = ()) -> Any:
        """See `Form`."""
        return sys.modules["pandas"].DataFrame(_array(values), index=self.index, columns=list(names) or None)

    def column(self, values: Any, name: Any = None) -> Any:
        """See `Form`."""
        return sys.modules["pandas"].Series(_labels(values), index=self.index, name=name)


def form_of(queries: Any) -> Form:
    """The form of queries; lists for anything but arrays, tensors, Series and DataFrames."""
    if is_a(queries, "pandas", "DataFrame") or is_a(queries, "pandas", "Series"):
        return PandasForm(queries.index)
    if is_a(queries, "torch", "Tensor"):
        return TorchForm(queries.device)
    return NumpyForm() if hasattr(queries, "__array__") else Form()


def scalars(values: Any, types: frozenset[type] = SCALARS) -> list[Any]:
    """The same list. Raises TypeError for anything but a list of values of these types."""
    if type(values) is not list or not types.issuperset(map(type, values)):
        raise TypeError(f"expected a list of values, got {shown(values)}")
    return values


def width(rows: Any) -> int:
    """How many columns rows have, in any form."""
    return len(rows[0]) if isinstance(rows, list) else rows.shape[1]


def _array(values: Any) -> Any:
    """Numbers as an array: raw ones, lists, or an array already."""
    numpy = sys.modules["numpy"]
    if isinstance(values, numpy.ndarray):
        return values
    if isinstance(values, dict):
        kind = numpy.dtype(values["dtype"])
        if kind.kind not in "biuf":
            raise TypeError(f"expected numbers, got {kind}")
        array = numpy.frombuffer(values["data"], kind.newbyteorder("<")).reshape(values["shape"]).astype(kind)
    else:
        array = numpy.asarray(values, "float32")
    if not array.size:
        raise TypeError(f"expected numbers, got {shown(values)}")
    return array


def _labels(values: Any) -> Any:
    numpy = sys.modules["numpy"]
    if isinstance(values, dict | numpy.ndarray):
        return _array(values)
    values = scalars(values)
    return numpy.asarray(values, None if len(set(map(type, values))) == 1 else object)
