"""The client that waits for a result: until when, and whether it is still there."""

import asyncio
from collections.abc import Awaitable
from typing import Protocol, TypeVar

from app.errors import DeadlinePassed, InnerloopError

T = TypeVar("T")
LATE = (
    "The answer was not ready within X-Timeout-Ms: send a larger X-Timeout-Ms, or fewer examples, steps or queries; or "
    "try again when the server has less to do"
)
"""The text of DeadlinePassed."""


class Caller(Protocol):
    """The client that waits for a result."""

    @property
    def deadline(self) -> float | None:
        """The event loop's time after which the result is of no use; None for any time."""

    def disconnected(self) -> bool:
        """Whether the client has disconnected."""


class ClientDisconnected(InnerloopError):
    """The client has disconnected, so its work was not begun."""

    def __init__(self) -> None:
        super().__init__("the client has disconnected")


def in_time(caller: Caller | None, work: Awaitable[T]) -> Awaitable[T]:
    """The result of the work. Raises DeadlinePassed, and cancels the work, once the caller's deadline has passed."""
    deadline = None if caller is None else caller.deadline
    return work if deadline is None else _until(deadline, work)


async def _until(deadline: float, work: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout_at(deadline):
            return await work
    except TimeoutError:
        raise DeadlinePassed(LATE) from None
