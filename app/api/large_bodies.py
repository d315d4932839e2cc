"""Keeps large bodies off the event loop: a process decodes them, a thread reads and writes them, in bounded memory."""

import asyncio
import logging
import sys
import weakref
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from fastapi import Request, Response
from msgspec import UNSET

from app.api import body_decoding_process
from app.api.codec import LongResponse
from app.api.schemas import PredictResponse, ResponseBody, SupportView
from app.errors import Overloaded
from app.service.answers import QUICK_NUMBERS
from app.service.deadlines import in_time

if TYPE_CHECKING:
    from app.api.requests import IncomingRequest

T = TypeVar("T")
log = logging.getLogger(__name__)
PROCESS_BYTES = 3 * 2**30
"""The memory that the process may take. It needs 2 GiB for 32 MiB of JSON with one number in each row."""
ENDED = "The process that decodes large bodies has ended: try again in a second"
"""The error of a body whose process was killed, or took more than `PROCESS_BYTES`."""
SMALL = 64 * 2**10
"""The event loop reads a body of no more bytes itself, which takes it a few milliseconds."""


class LargeBodies:
    """Reads and writes bodies that are large or hold images, one after another.

    An async context manager: leaving it ends the thread.
    """

    def __init__(self, capacity: int) -> None:
        """capacity: bytes."""
        self._capacity = capacity
        self._used = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bodies")
        self._process: Process | None = None
        self._turn = asyncio.Lock()
        self._closed = False

    async def __aenter__(self) -> "LargeBodies":
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)
        await self._end_process()

    def reserve(self, owner: Request | Response, size: int) -> None:
        """Reserve bytes for a body, for as long as its request or response lives. Raises Overloaded."""
        if self._used and self._used + size > self._capacity:
            raise Overloaded(
                f"There is no room for more large bodies and answers, which take at most {self._capacity} bytes at a "
                "time (INNERLOOP_MAX_WAITING_BYTES): try again in a second"
            )
        self._used += size
        weakref.finalize(owner, self._release, size)

    def _release(self, size: int) -> None:
        self._used -= size

    async def decode(self, request: "IncomingRequest", form: type[T]) -> T:
        """The body of a request as `form`. Raises Malformed, Invalid and DeadlinePassed."""
        if request.media.csv:  # `read` reads its rows
            return request.decode(form)
        job = body_decoding_process.Job(request.media.codec.media, form.__name__, request.body)
        outcome = await in_time(request.client, asyncio.shield(self._decode(job)))
        return await self.read(request, partial(outcome.read, form))

    async def read(self, request: "IncomingRequest", function: Callable[[], T]) -> T:
        """Call a function that makes arrays of the values of a body. Raises DeadlinePassed, and what it raises."""
        return await in_time(request.client, self._call(function))

    async def write(self, answer: ResponseBody, function: Callable[[ResponseBody], T]) -> T:
        """Call a function that writes an answer: at once, or on the thread if it may take long.

        Raises Overloaded.
        """
        written = function(answer) if _is_short(answer) else await self._call(partial(function, answer))
        return self.hold(written)

    def hold(self, answer: T) -> T:
        """The same answer. A long response takes its room until the client has read it. Raises Overloaded."""
        if isinstance(answer, LongResponse):
            self.reserve(answer, len(answer.body))
        return answer

    async def decompress(self, owner: Request, function: Callable[[], bytes]) -> bytes:
        """The decompressed body of a request. Raises Overloaded, and what the function raises."""
        body = await self._call(function)
        self.reserve(owner, len(body))
        return body

    async def _decode(self, job: body_decoding_process.Job) -> body_decoding_process.Outcome:
        """The outcome of a job, with a body. Raises Malformed, Invalid and Overloaded.

        It is never cancelled, because the outcome that comes next would be that of another job.
        """
        async with self._turn:
            if self._process is None or self._process.returncode is not None:
                words = [sys.executable, "-m", body_decoding_process.__name__, str(PROCESS_BYTES)]
                # a session of its own, so that Ctrl-C reaches the server alone
                self._process = await asyncio.create_subprocess_exec(
                    *words, stdin=PIPE, stdout=PIPE, start_new_session=True
                )
            try:
                return (await body_decoding_process.exchange(self._process, job)).check()
            except (asyncio.IncompleteReadError, OSError) as error:
                await self._end_process()
                log.error("the process that decodes large bodies has ended; the next large body starts it again")
                raise Overloaded(ENDED) from error

    async def _end_process(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):  # it has ended already
                self._process.kill()
            await self._process.wait()

    async def _call(self, function: Callable[[], T]) -> T:
        if self._closed:
            raise Overloaded.stopping()
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)


def _is_short(answer: ResponseBody) -> bool:
    if isinstance(answer, PredictResponse):
        probabilities = answer.probabilities
        short = len(answer.predictions) <= QUICK_NUMBERS
        return short and (probabilities is UNSET or probabilities.size <= QUICK_NUMBERS)
    match answer:
        case SupportView(inputs=np.ndarray(size=size)):
            return size <= QUICK_NUMBERS
        case SupportView(episodes=list()):
            return False
    return True
