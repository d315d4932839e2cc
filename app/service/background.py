"""Background tasks: one that fails is logged, started again, and listed until it has run for a while."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from time import monotonic
from typing import Any, NamedTuple

log = logging.getLogger(__name__)

FIRST_DELAY_S, MAX_DELAY_S = 1.0, 60.0
"""Before a task is started again: doubled each time that it fails again, up to the second."""
RECOVERED_S = 60.0
"""A task that has run for so long since it failed is healthy again."""

Work = Callable[[], Coroutine[Any, Any, None]]


class _Failure(NamedTuple):
    reason: str
    at: float


class BackgroundTasks:
    """Runs coroutines by name, as an async context manager; leaving it cancels them."""

    def __init__(self, work: Mapping[str, Work], first_delay_s: float = FIRST_DELAY_S) -> None:
        """work: by name, what to run; a coroutine that returns is done and not started again."""
        self._work = work
        self._first_delay_s = first_delay_s
        self._failures: dict[str, _Failure] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "BackgroundTasks":
        self._tasks = [asyncio.create_task(self._supervise(name, work)) for name, work in self._work.items()]
        return self

    async def __aexit__(self, *exception: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def failing(self) -> dict[str, str]:
        """The tasks that failed lately, by name, and the reason."""
        now = monotonic()
        return {name: each.reason for name, each in self._failures.items() if now - each.at < RECOVERED_S}

    async def _supervise(self, name: str, work: Work) -> None:
        delay = self._first_delay_s
        while True:
            started = monotonic()
            try:
                await work()
            except Exception as error:  # whatever it is, the server goes on, and the task is tried again
                if monotonic() - started > RECOVERED_S:
                    delay = self._first_delay_s
                log.exception("the background task %r failed and starts again in %g s", name, delay)
                self._failures[name] = _Failure(f"{type(error).__name__}: {error}", monotonic() + delay)
            else:
                return
            await asyncio.sleep(delay)
            delay = min(2 * delay, MAX_DELAY_S)
