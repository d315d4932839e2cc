"""Rows whose values have names: mappings, Series of pandas, named tuples and records of numpy."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from innerloop_client.arrays import is_a
from innerloop_client.errors import UnsupportedInput

CLASSES = (("pandas", "Series"), ("pandas", "DataFrame"), ("numpy", "void"), ("numpy", "ndarray"))
"""The modules and the names of classes whose values may have names."""


def may_have_names(kind: type) -> bool:
    """Whether values of a type may have names."""
    known = [getattr(sys.modules.get(module), name, None) for module, name in CLASSES]
    named = is_named_tuple(kind) or issubclass(kind, Mapping)
    return named or any(each is not None and issubclass(kind, each) for each in known)


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
    if isinstance(row, Mapping):
        names = list(row)
    elif is_a(row, "pandas", "Series"):
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

    names: of the model. If it has none, values go by their position, and all rows need the same names in one order
    Raises UnsupportedInput for a row with other names.
    """
    if not names:
        return _by_position(rows, place)
    return [_in_order(row, names, f"{place}[{index}]") for index, row in enumerate(rows)]


def as_objects(rows: Iterable[Any], names: Sequence[str], place: str) -> list[Any]:
    """Rows as objects, for a model that takes these. A row without names of its own becomes a list.

    names: of the model. Raises UnsupportedInput for a row of which some names are lost
    """
    objects = []
    for index, row in enumerate(rows):
        own = [] if isinstance(row, Mapping) else names_of(row) or []
        lost = [name not in names and _made_up(name, at) for at, name in enumerate(own)]
        if isinstance(row, Mapping):
            objects.append(row)
        elif all(lost):
            objects.append(_values(row))
        elif any(lost):
            raise _wrong_names(own, names, f"{place}[{index}]")
        else:
            objects.append(dict(zip(own, _values(row), strict=True)))
    return objects


def _by_position(rows: Sequence[Any], place: str) -> list[Any]:
    """The values of rows. Mappings are left as they are: the server refuses them."""
    first: list[str] | None = None
    for index, row in enumerate(rows):
        own = None if isinstance(row, Mapping) else names_of(row)
        first = first or own
        if own != first and own is not None and first is not None:
            expected = f"expected the names {', '.join(first)} in this order, as in an earlier row"
            fix = "the model has no names to put them in order"
            raise UnsupportedInput(f"{place}[{index}]: {expected}, got {', '.join(own)}: {fix}")
    return [row if isinstance(row, Mapping) else _values(row) for row in rows]


def _in_order(row: Any, wanted: Sequence[str], place: str) -> Any:
    own, values = names_of(row), _values(row)
    if own is None:
        return values
    if sorted(own) == sorted(wanted):
        return [values[own.index(name)] for name in wanted]
    if len(own) == len(wanted) and all(_made_up(name, index) for index, name in enumerate(own)):
        return values
    raise _wrong_names(own, wanted, place)


def _wrong_names(own: Sequence[str], wanted: Sequence[str], place: str) -> UnsupportedInput:
    """The error of a row with other names. Where some are lost, their order may be any: no position is safe."""
    lost = any(_made_up(name, index) for index, name in enumerate(own))
    fix = ": itertuples() replaces names that are no identifiers: send the rows of to_dict('records')" if lost else ""
    return UnsupportedInput(f"{place}: expected the names {', '.join(wanted)}, got {', '.join(own)}{fix}")


def _made_up(name: str, position: int) -> bool:
    """Whether a name only says the position, as pandas and numpy make them up where there is none."""
    return name in (f"_{position}", f"f{position}", f"{position}")


def _values(row: Any) -> Any:
    """The values of a row as a list, if it may have names; any other row as it is."""
    if isinstance(row, Mapping):
        return list(row.values())
    if is_a(row, "pandas", "DataFrame"):
        return row.iloc[0].tolist() if len(row) == 1 else row
    if is_a(row, "pandas", "Series"):
        return row.tolist()
    if getattr(getattr(row, "dtype", None), "names", None):
        return list(row.reshape(-1)[0].tolist() if hasattr(row, "ndim") and row.ndim else row.tolist())
    return list(row) if is_named_tuple(type(row)) else row
