"""The types that the fields of an answer may have, from the annotations of the dataclass that describes it."""

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from innerloop_client.errors import shown

Types = frozenset[type]
"""The types that a value may have; empty if it may have any."""
ANY: Types = frozenset()


def check_types(form: type, values: Mapping[str, Any]) -> None:
    """Raise TypeError, which names the field, for a value of another type. A boolean is no number."""
    expected = _field_types(form)
    for name, value in values.items():
        types, elements = expected.get(name, (ANY, ANY))
        if (types and type(value) not in types) or (elements and value and not _have(value, elements)):
            raise TypeError(f"{name} is {shown(value)}")


def _have(value: Any, elements: Types) -> bool:
    """Whether the elements of a list, or the values of a mapping, are of these types."""
    return elements.issuperset(map(type, value.values() if isinstance(value, dict) else value))


@cache
def _field_types(form: Any) -> Mapping[str, tuple[Types, Types]]:
    """The types of each field of a dataclass, and of its elements if it is a list or a mapping."""
    hints = get_type_hints(form)
    return {each.name: (_types(hints[each.name]), _elements(hints[each.name])) for each in fields(form)}


def _parts(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _types(hint: Any) -> Types:
    kinds = [get_origin(part) or part for part in _parts(hint)]
    if Any in kinds:
        return ANY
    wider = {float: (int, float), Mapping: (dict,)}
    return frozenset(kind for each in kinds for kind in wider.get(each, (each,)))


def _elements(hint: Any) -> Types:
    """The types of the elements of a list, or of the values of a mapping."""
    arguments = [get_args(part) for part in _parts(hint) if get_origin(part) in (list, tuple, Mapping)]
    kinds = [_types(each[-1] if each[-1] is not Ellipsis else each[0]) for each in arguments]
    return frozenset().union(*kinds)
