"""Calls of a redis server. Those of one turn of the event loop are sent together.

A cancelled caller leaves the connection intact: it waits for its own answer only.
"""

import asyncio
from collections.abc import Sequence
from hashlib import sha1
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from app.errors import Overloaded

MAX_WAITING = 8192
"""Largest number of calls without an answer. The store refuses further ones at once."""
Word = str | bytes | int | float


class _Call(NamedTuple):
    words: Sequence[Word]
    future: asyncio.Future[Any]


class Calls:
    """Sends commands and runs scripts. It never repeats one that may have been executed."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._waiting: list[_Call] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._scripts: dict[str, str] = {}
        self._unanswered = 0

    async def call(self, *words: Word) -> Any:
        """Run a command and return its answer. Raises RedisError and OSError, and Overloaded where too many wait."""
        if self._unanswered > MAX_WAITING:
            raise Overloaded(f"{MAX_WAITING} calls wait for Redis already: try again in a second")
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._send)
        self._waiting.append(_Call(words, loop.create_future()))
        self._unanswered += 1
        try:
            return await self._waiting[-1].future
        finally:
            self._unanswered -= 1

    async def run(self, script: str, *arguments: Word) -> Any:
        """Run a script and return its result. Raises RedisError and OSError."""
        if script not in self._scripts:
            self._scripts[script] = sha1(script.encode(), usedforsecurity=False).hexdigest()
        try:
            return await self.call("EVALSHA", self._scripts[script], 0, *arguments)
        except NoScriptError:  # it was not run: the server has restarted, or has never seen it
            return await self.call("EVAL", script, 0, *arguments)

    async def close(self) -> None:
        """Wait for the answers to all calls."""
        self._send()
        await asyncio.gather(*self._tasks)

    def _send(self) -> None:
        calls = [each for each in self._waiting if not each.future.done()]
        self._waiting = []
        if calls:
            task = asyncio.create_task(self._exchange(calls))
            self._tasks.add(task)  # else nothing keeps it alive
            task.add_done_callback(self._tasks.discard)

    async def _exchange(self, calls: Sequence[_Call]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for each in calls:
            pipeline.execute_command(*each.words)
        try:
            answers: Sequence[Any] = await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as error:
            answers = [error] * len(calls)
        for each, answer in zip(calls, answers, strict=True):
            if each.future.done():  # its caller was cancelled
                continue
            if isinstance(answer, Exception):
                each.future.set_exception(answer)
            else:
                each.future.set_result(answer)
