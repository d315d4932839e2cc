"""Beartype for functions that are made again and again.

jaxtyping hands its type checker a stub with the signature of each function that it decorates. A function inside another
is decorated at every call of the outer one, and beartype compiles its checks anew each time: half of the time of
starting a server with shape checks. Stubs of one signature share their checks here.
"""

from collections.abc import Callable
from types import FunctionType
from typing import Any

from beartype import beartype

_checked: dict[object, Callable[..., Any]] = {}


def checked(stub: FunctionType) -> Callable[..., Any]:
    """The stub with beartype's checks of its arguments and its result."""
    # jaxtyping makes a new class of the same annotation each time, so they are compared by what they say
    code, hints = stub.__code__, repr(stub.__annotations__)
    defaults = stub.__defaults__ or (), tuple((stub.__kwdefaults__ or {}).items())
    key = stub.__module__, stub.__qualname__, code.co_code, code.co_varnames, code.co_flags, hints, defaults
    try:
        known = _checked.get(key)
    except TypeError:  # a default that has no hash
        return beartype(stub)
    if known is None:
        known = _checked[key] = beartype(stub)
    return known
