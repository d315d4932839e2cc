"""Every operation is written once, as a coroutine. Here it becomes a method that blocks.

The transport of `Client` blocks instead of awaiting, so a coroutine that uses it runs from start to end at once and
needs no event loop. It works in a notebook too, where a loop already runs.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S")


def finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, and return its result."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    coroutine.close()
    raise RuntimeError("a blocking transport has awaited")


def blocking(method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> Callable[Concatenate[Any, P], T]:
    """A coroutine method as a method that blocks."""

    @wraps(method)
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return finish(method(self, *args, **kwargs))

    return call


def changing(method: Callable[Concatenate[Any, P], Coroutine[Any, Any, Any]]) -> Callable[Concatenate[S, P], S]:
    """A coroutine method that changes its object and returns it, as a method that blocks."""

    @wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> S:
        finish(method(self, *args, **kwargs))
        return self

    return call


def iterate(values: AsyncIterator[T]) -> Iterator[T]:
    """The values of an asynchronous iterator that never suspends."""
    while True:
        ended, value = finish(_next(values))
        if ended:
            return
        yield cast("T", value)


async def _next(values: AsyncIterator[T]) -> tuple[bool, T | None]:
    """Whether there is no further value, and the next one."""
    async for value in values:
        return False, value
    return True, None


def iterating(method: Callable[Concatenate[Any, P], AsyncIterator[T]]) -> Callable[Concatenate[Any, P], Iterator[T]]:
    """A method that returns an asynchronous iterator, as one that returns an iterator."""

    @wraps(method)
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return iterate(method(self, *args, **kwargs))

    return call
