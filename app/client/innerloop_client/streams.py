"""Adapting step by step: the losses as they come, then the adaptation."""

import json
import math
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Generic, TypeVar

import httpx

from innerloop_client.adapt_request import adapt_body
from innerloop_client.adaptation import Adaptation, AsyncAdaptation
from innerloop_client.adaptation_fields import AdaptationFields
from innerloop_client.blocking import finish
from innerloop_client.errors import ConnectionFailed, InnerloopError, server_error
from innerloop_client.idempotency_key import new_key
from innerloop_client.retries import RETRIED
from innerloop_client.session import Call, Session

A = TypeVar("A", bound=AdaptationFields)
EVENTS = "text/event-stream"
BROKEN = "adapt_stream: the server's answer broke off, try again"


class _Stream(Generic[A]):
    """The losses of the steps, and the adaptation after the last of them."""

    def __init__(self, session: Session, form: type[A], arguments: tuple[str, Any, Any], options: Any) -> None:
        self._events = _events(session, arguments, options)
        self._session, self._form = session, form
        self._adaptation: A | None = None

    @property
    def adaptation(self) -> A:
        """The adaptation. Raises InnerloopError as long as steps are left."""
        if self._adaptation is None:
            raise InnerloopError("adaptation: the stream has not ended: iterate over all losses first")
        return self._adaptation

    async def _next(self) -> float | None:
        """The next loss; None after the last."""
        async for event in self._events:
            if isinstance(event, float):
                return event
            self._adaptation = self._form(self._session, event)
        return None


class AsyncAdaptStream(_Stream[AsyncAdaptation]):
    """An asynchronous iterator over the losses. `adaptation` is there after the last."""

    def __aiter__(self) -> "AsyncAdaptStream":
        return self

    async def __anext__(self) -> float:
        loss = await self._next()
        if loss is None:
            raise StopAsyncIteration
        return loss

    async def close(self) -> None:
        """Disconnect: the server cancels the steps that are left, and stores nothing."""
        await self._events.aclose()


class AdaptStream(_Stream[Adaptation]):
    """An iterator over the losses. `adaptation` is there after the last."""

    def __iter__(self) -> "AdaptStream":
        return self

    def __next__(self) -> float:
        loss = finish(self._next())
        if loss is None:
            raise StopIteration
        return loss

    def close(self) -> None:
        """Disconnect: the server cancels the steps that are left, and stores nothing."""
        finish(self._events.aclose())

    def __del__(self) -> None:
        if hasattr(self, "_events"):
            self.close()


async def _events(
    session: Session, arguments: tuple[str, Any, Any], options: dict[str, Any]
) -> AsyncGenerator[float | dict[str, Any], None]:
    """Losses, each once, and last the body of the adaptation. What breaks off is sent again with the same key."""
    timeout, key = options.pop("timeout", None), options.pop("idempotency_key", None)
    body = await adapt_body(session, *arguments, options)
    call = Call.of_body("/adapt", body, accept=EVENTS, key=key or new_key())
    attempts = session.attempts(timeout)
    step = 0
    while True:
        failure: InnerloopError = ConnectionFailed(BROKEN)
        cause: httpx.TransportError | None = None
        try:
            async with session.stream(call, attempts) as response:
                async for name, data in _read_events(session.transport.lines(response)):
                    if name == "result":  # alone, if an earlier request made the adaptation
                        for loss in data["losses"][step:]:
                            yield _number(loss)
                        yield data
                        return
                    if name == "problem":
                        failure = server_error(data)
                        break
                    if data["step"] == step:
                        step += 1
                        yield _number(data["loss"])
        except httpx.TransportError as error:
            cause, reason = error, str(error) or type(error).__name__
            failure = ConnectionFailed(f"{BROKEN} ({reason})")
        may_help = isinstance(failure, ConnectionFailed) or getattr(failure, "status", 0) in RETRIED
        wait = attempts.wait_s(error=cause) if may_help else None
        if wait is None:
            raise failure from cause
        await session.transport.sleep(wait)


def _number(loss: float | None) -> float:
    return math.nan if loss is None else float(loss)


async def _read_events(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """The events of a stream, each with its data."""
    name = ""
    async for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)
