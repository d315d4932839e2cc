"""What is wrong with the server at present: conditions by name, each with its reason and what to do about it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from threading import Lock
from typing import NamedTuple

CHECK_S = 2.0
"""Between two checks of a part of the server."""

log = logging.getLogger(__name__)


class _Condition(NamedTuple):
    reason: str
    status: str | None


class Health:
    """The conditions that degrade the server. Any thread may report one.

    A condition is reported where its error is caught, and ends where something succeeds again or a background check
    finds it gone. One line is logged when it begins and one when it ends, however often it is reported.
    """

    def __init__(self) -> None:
        self._conditions: dict[str, _Condition] = {}
        self._lock = Lock()

    def begin(self, name: str, reason: str, status: str | None = None) -> None:
        """Report a condition. A later report replaces the reason.

        status: why the server cannot answer requests at all, if that is so, in a few words
        """
        with self._lock:
            new = name not in self._conditions
            self._conditions[name] = _Condition(reason, status)
        if new:
            log.error("degraded: %s: %s", name, reason)

    def end(self, name: str) -> None:
        """Report that a condition is over, if there is one of that name."""
        with self._lock:
            ended = self._conditions.pop(name, None)
        if ended is not None:
            log.info("no longer degraded: %s", name)

    @property
    def degraded(self) -> dict[str, str]:
        """The reason of each condition, by its name."""
        with self._lock:
            return {name: each.reason for name, each in self._conditions.items()}

    @property
    def unavailable(self) -> str | None:
        """Why the server cannot answer requests at all, in a few words; None where it can answer some."""
        with self._lock:
            return next((each.status for each in self._conditions.values() if each.status is not None), None)


async def check(*parts: Callable[[], Awaitable[None]]) -> None:
    """Check parts of the server, which report to their Health, again and again."""
    while True:
        await asyncio.sleep(CHECK_S)
        for part in parts:
            await part()
