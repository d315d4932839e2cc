"""Rows whose values have names: Series of pandas, named tuples and records of numpy."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from innerloop_client.arrays import is_a
from innerloop_client.errors import UnsupportedInput
from innerloop_client.value_encoding import as_names

CLASSES = (("pandas", "Series"), ("pandas", "DataFrame"), ("numpy", "void"))
"""The modules and the names of classes whose values may have names."""


def may_have_names(kind: type) -> bool:
    """Whether rows of a type may have names. Mappings are left out: the server reads them."""
    known = [getattr(sys.modules.get(module), name, None) for module, name in CLASSES]
    return hasattr(kind, "_fields") or any(each is not None and issubclass(kind, each) for each in known)


def have_names(rows: Iterable[Any]) -> bool:
    """Whether any of the rows may have names."""
    return any(map(may_have_names, set(map(type, rows))))


def rows_with_names(values: Any) -> list[Any]:
    """The rows of a list, an array or a Series if any of them may have names; none of anything else."""
    holds_objects = getattr(getattr(values, "dtype", None), "kind", "") in ("O", "V") and hasattr(values, "__len__")
    rows = list(values) if isinstance(values, list | tuple) or holds_objects else []
    return rows if have_names(rows) else []


def named(row: Any, place: str) -> Mapping[str, Any] | None:
    """The values of a row by their names; None if it has none. A DataFrame of one row is one."""
    if is_a(row, "pandas", "DataFrame") and len(row) == 1:
        row = row.iloc[0]
    if is_a(row, "pandas", "Series"):
        names = list(row.index)
    else:
        names = list(getattr(row, "_fields", None) or getattr(getattr(row, "dtype", None), "names", None) or ())
    if not any(isinstance(name, str) for name in names):
        return None
    return dict(zip(as_names(names, place), row.tolist() if hasattr(row, "tolist") else row, strict=True))


def by_names(rows: Iterable[Any], names: Sequence[str], place: str) -> list[Any]:
    """Rows as lists in the order of these names. A row without names stays in its own order.

    names: of the model; empty if it has none
    Raises UnsupportedInput for a row with other names.
    """
    return [_in_order(row, names, f"{place}[{index}]") for index, row in enumerate(rows)]


def as_objects(rows: Iterable[Any], place: str) -> list[Any]:
    """Rows as objects, for a model that takes these. A row without names becomes a list."""
    return [named(row, f"{place}[{index}]") or _plain(row) for index, row in enumerate(rows)]


def _in_order(row: Any, names: Sequence[str], place: str) -> Any:
    known = named(row, place)
    if known is None:
        return _plain(row)
    if not names:
        return list(known.values())
    if sorted(known) != sorted(names):
        raise UnsupportedInput(f"{place}: expected the names {', '.join(names)}, got {', '.join(known)}")
    return [known[name] for name in names]


def _plain(row: Any) -> Any:
    return row.tolist() if is_a(row, "pandas", "Series") else row
