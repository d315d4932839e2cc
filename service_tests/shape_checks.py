"""Shape checks for functions that are made again and again.

jaxtyping decorates a function inside another at every call of the outer one: it makes stubs with the signature of the
function, and beartype compiles checks for them. This would take half of the time of starting a server with shape
checks. Here functions of one definition share their checks.
"""

import inspect
import threading
from collections.abc import Callable
from functools import partial, wraps
from types import FunctionType
from typing import Any

import jaxtyping

_decorate = jaxtyping.jaxtyped
_shared: dict[object, Callable[..., Any]] = {}
"""By definition: the decorated function, which calls the function that `_running` has last."""
_running = threading.local()


def install(*packages: str) -> None:
    """Check the shapes in the annotations of these packages, which are not imported yet."""
    jaxtyping.jaxtyped = partial(partial, shaped)  # type: ignore[assignment]  # the hook finds it by its name
    jaxtyping.install_import_hook(packages, "beartype.beartype")


def shaped(function: Any, *, typechecker: Callable[..., Any]) -> Any:
    """As `jaxtyping.jaxtyped`. Functions that are made by one definition inside another function share their checks."""
    if not isinstance(function, FunctionType) or "<locals>" not in function.__qualname__:
        return _decorate(function, typechecker=typechecker)
    # jaxtyping makes a new class of the same annotation each time, so they are compared by what they say
    hints = repr(function.__annotations__)
    defaults = function.__defaults__ or (), tuple((function.__kwdefaults__ or {}).items())
    key = function.__module__, function.__code__, hints, defaults
    try:
        known = _shared.get(key)
    except TypeError:  # a default that has no hash
        return _decorate(function, typechecker=typechecker)
    if known is None:
        known = _shared[key] = _decorate(_last_running(function), typechecker=typechecker)
    return _running_it(known, function)


def _last_running(function: FunctionType) -> FunctionType:
    """A function with this one's signature. It calls the function that `_running` has last."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return running.functions.pop()(*args, **kwargs)

    running = _running
    made = FunctionType(call.__code__, function.__globals__, function.__name__, None, call.__closure__)
    made.__module__, made.__qualname__ = function.__module__, function.__qualname__
    made.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]  # inspect.signature reads it
    return made


def _running_it(known: Callable[..., Any], function: FunctionType) -> Callable[..., Any]:
    """The decorated function of the definition, for this function of it."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if not hasattr(_running, "functions"):
            _running.functions = []
        functions: list[FunctionType] = _running.functions
        depth = len(functions)
        functions.append(function)
        try:
            return known(*args, **kwargs)
        finally:
            del functions[depth:]  # where the check of the arguments fails, nothing else takes it

    return call
