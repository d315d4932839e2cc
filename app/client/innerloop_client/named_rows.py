"""Rows whose values have names: Series of pandas, named tuples and records of numpy."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from innerloop_client.arrays import is_a
from innerloop_client.errors import UnsupportedInput

CLASSES = (("pandas", "Series"), ("pandas", "DataFrame"), ("numpy", "void"), ("numpy", "ndarray"))
"""The modules and the names of classes whose values may have names."""


def may_have_names(kind: type) -> bool:
    """Whether values of a type may have names. Mappings are left out: the server reads them."""
    known = [getattr(sys.modules.get(module), name, None) for module, name in CLASSES]
    return is_named_tuple(kind) or any(each is not None and issubclass(kind, each) for each in known)


def is_named_tuple(kind: type) -> bool:
    """Whether a type is that of named tuples."""
    return issubclass(kind, tuple) and isinstance(getattr(kind, "_fields", None), tuple)


def have_names(rows: Iterable[Any]) -> bool:
    """Whether any of the rows has names."""
    rows = list(rows)
    kinds = {kind for kind in set(map(type, rows)) if may_have_names(kind)}
    return bool(kinds) and any(type(row) in kinds and names_of(row) is not None for row in rows)


def rows_with_names(values: Any) -> list[Any]:
    """The rows of a list, an array or a Series if any of them has names; none of anything else."""
    holds_objects = getattr(getattr(values, "dtype", None), "kind", "") in ("O", "V") and hasattr(values, "__len__")
    rows = list(values) if isinstance(values, list | tuple) or holds_objects else []
    return rows if have_names(rows) else []


def names_of(row: Any) -> list[str] | None:
    """The names of the values of a row; None if they are no texts. A DataFrame or an array of one row is one."""
    if is_a(row, "pandas", "Series"):
        names = list(row.index)
    elif is_a(row, "pandas", "DataFrame"):
        names = list(row.columns) if len(row) == 1 else []
    elif is_named_tuple(type(row)):
        names = list(row._fields)
    else:
        names = list(getattr(getattr(row, "dtype", None), "names", None) or ()) if getattr(row, "size", 1) == 1 else []
    return names if names and all(isinstance(name, str) for name in names) else None


def by_names(rows: Sequence[Any], names: Sequence[str], place: str) -> list[Any]:
    """Rows as lists in the order of these names. A row without names stays in its own order.

    names: of the model. If it has none, rows with the same names go in the order of the first of them
    Raises UnsupportedInput for a row with other names.
    """
    known = [names_of(row) for row in rows]
    given = [each for each in known if each is not None]
    alike = len({*map(tuple, map(sorted, given))}) == 1 and len(set(given[0])) == len(given[0])
    wanted = names or (given[0] if alike else ())
    pairs = enumerate(zip(rows, known, strict=True))
    return [_in_order(row, own, wanted, f"{place}[{index}]") for index, (row, own) in pairs]


def as_objects(rows: Iterable[Any]) -> list[Any]:
    """Rows as objects, for a model that takes these. A row without names of its own becomes a list."""
    objects = []
    for row in rows:
        names = names_of(row)
        are_own = names is not None and not all(_made_up(name, index) for index, name in enumerate(names))
        objects.append(dict(zip(names or (), _values(row), strict=True)) if are_own else _values(row))
    return objects


def _in_order(row: Any, own: list[str] | None, wanted: Sequence[str], place: str) -> Any:
    values = _values(row)
    if own is None or not wanted:
        return values
    if sorted(own) == sorted(wanted):
        return [values[own.index(name)] for name in wanted]
    if len(own) == len(wanted) and all(
        name == there or _made_up(name, index) for index, (name, there) in enumerate(zip(own, wanted, strict=True))
    ):
        return values
    raise UnsupportedInput(f"{place}: expected the names {', '.join(wanted)}, got {', '.join(own)}")


def _made_up(name: str, position: int) -> bool:
    """Whether a name only says the position, as pandas and numpy make them up where there is none."""
    return name in (f"_{position}", f"f{position}", f"{position}")


def _values(row: Any) -> Any:
    """The values of a row as a list, if it may have names; any other row as it is."""
    if is_a(row, "pandas", "DataFrame"):
        return row.iloc[0].tolist() if len(row) == 1 else row
    if is_a(row, "pandas", "Series"):
        return row.tolist()
    if getattr(getattr(row, "dtype", None), "names", None):
        return list(row.reshape(-1)[0].tolist() if hasattr(row, "ndim") and row.ndim else row.tolist())
    return list(row) if is_named_tuple(type(row)) else row
