"""Adapting step by step: the losses as they come, then the adaptation."""

import json
import math
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Generic, NoReturn, TypeVar

import httpx

from innerloop_client.adapt_request import AdaptBody
from innerloop_client.adaptation import Adaptation, AsyncAdaptation
from innerloop_client.adaptation_fields import AdaptationFields
from innerloop_client.blocking import finish
from innerloop_client.descriptions import reading
from innerloop_client.errors import (
    ConnectionFailed,
    InnerloopError,
    UnsupportedInput,
    are_losses,
    is_problem,
    server_error,
    shown,
)
from innerloop_client.idempotency_key import key_of
from innerloop_client.model_versions import Described, Version, for_version
from innerloop_client.retries import RETRIED, Attempts
from innerloop_client.server_sent_events import read_events
from innerloop_client.session import Call, Session

A = TypeVar("A", bound=AdaptationFields)
EVENTS = "text/event-stream"
BROKEN = "adapt_stream: the server's answer broke off, try again"


class _Stream(Generic[A]):
    """The losses of the steps, and the adaptation after the last of them."""

    def __init__(self, session: Session, form: type[A], arguments: tuple[str, Any, Any], options: Any) -> None:
        self._events = _events(session, arguments, options)
        self._session, self._form, self._model = session, form, arguments[0]
        self._adaptation: A | None = None
        self._failure: InnerloopError | None = None
        self._closed = False

    @property
    def adaptation(self) -> A:
        """The adaptation. Raises InnerloopError as long as steps are left, and the error of a stream that failed."""
        if self._failure is not None:
            raise self._failure
        if self._adaptation is None:
            fix = "adapt again, as this one was closed" if self._closed else "iterate over all losses first"
            raise InnerloopError(f"adaptation: expected a stream that has ended: {fix}")
        return self._adaptation

    async def _next(self) -> float | None:
        """The next loss; None after the last. Raises the error again if the stream has failed before."""
        try:
            async for event in self._events:
                if isinstance(event, float):
                    return event
                self._adaptation = self._form(self._session, event, model=self._model)
        except InnerloopError as error:
            self._failure = error
            raise
        if self._adaptation is None and not self._closed:
            raise self._failure or InnerloopError("the stream was interrupted: adapt again")
        return None

    def __reduce__(self) -> NoReturn:
        raise UnsupportedInput("a stream cannot be pickled: iterate over it, and keep the id of its adaptation")

    async def _close(self) -> None:
        self._closed = True
        await self._events.aclose()


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
        await self._close()


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
        finish(self._close())

    def __del__(self) -> None:
        if hasattr(self, "_events"):
            self.close()


async def _events(
    session: Session, arguments: tuple[str, Any, Any], options: dict[str, Any]
) -> AsyncGenerator[float | dict[str, Any], None]:
    """Losses, each once, and last the body of the adaptation. What breaks off is sent again with the same key."""
    session = session.within(options.pop("timeout", None))
    key = key_of(options.pop("idempotency_key", None))
    attempts, step = session.attempts(), 0
    beginning = _Beginning(session, AdaptBody(*arguments, options), key, attempts)
    while True:
        failure: InnerloopError = ConnectionFailed(BROKEN)
        cause: httpx.RequestError | None = None
        try:
            response = await beginning.response()
            try:
                async for event in _read_all(_in_time(session.transport.parts(response), attempts), step):
                    if isinstance(event, InnerloopError):
                        failure = event
                        break
                    step += isinstance(event, float)
                    beginning.is_over = True
                    with attempts.paused():
                        yield event
                    if isinstance(event, dict):
                        return
            finally:
                await session.transport.close_response(response)
        except httpx.RequestError as error:
            cause, failure = error, _broken(error, session, attempts)
        may_help = isinstance(failure, ConnectionFailed) or getattr(failure, "status", 0) in RETRIED
        wait = attempts.wait_s(error=cause) if may_help else None
        if wait is None:
            raise failure from cause
        await session.transport.sleep(wait)


class _Beginning:
    """Begins the answer, and begins it again after it broke off.

    is_over: whether the user has had a loss. Since then he may have changed the examples, so they are not read again,
        and an error says if another version of the model answers by now: its losses would be other ones
    """

    def __init__(self, session: Session, body: AdaptBody, key: str, attempts: Attempts) -> None:
        self._session, self._body, self._key, self._attempts = session, body, key, attempts
        self._call, self._version = Call("POST", "/adapt"), Version()
        self.is_over = False

    async def response(self) -> httpx.Response:
        """The answer, whose body the caller reads. Raises the error that it is."""
        if self.is_over:
            return await self._session.begin(self._call, self._attempts)
        return await for_version(self._session, self._begin, self._version)

    async def _begin(self, models: Described) -> httpx.Response:
        content = await self._body.read(models)
        self._version.digest = content.get("model_digest")  # a repeat is for the same
        self._call = Call.of_body("/adapt", content, accept=EVENTS, key=self._key)
        return await self._session.begin(self._call, self._attempts)


async def _in_time(parts: AsyncIterator[bytes], attempts: Attempts) -> AsyncIterator[bytes]:
    """The parts of a body until the deadline, even of a flood that never lets us wait. Raises httpx.ReadTimeout."""
    async for part in parts:
        if attempts.left_s <= 0:
            raise httpx.ReadTimeout("")
        yield part


async def _read_all(parts: AsyncIterator[bytes], step: int) -> AsyncIterator[float | dict[str, Any] | InnerloopError]:
    """The losses from `step` on, and then the adaptation or the error. Raises UnexpectedAnswer."""
    async for name, data in read_events(parts):
        with reading("a step of adapting"):
            values = _read(name, data, step)
        for value in values:
            step += isinstance(value, float)
            yield value


def _read(name: str, text: bytes, step: int) -> list[float | dict[str, Any] | InnerloopError]:
    """What an event says besides what is known; nothing if its name is of a newer server. step: of the next loss"""
    if name not in ("step", "result", "problem"):
        return []
    data = json.loads(text)
    if name == "problem":
        if not is_problem(data):
            raise TypeError(f"got {shown(text)}")
        return [server_error(data)]
    if name == "result":  # it has all losses, if an earlier request made the adaptation
        if len(data["losses"]) < step:
            raise ValueError(f"there were {step} losses, and the adaptation has {len(data['losses'])}")
        return [*(_number(loss) for loss in data["losses"][step:]), data]
    return [_number(data["loss"])] if data["step"] == step else []


def _broken(error: httpx.RequestError, session: Session, attempts: Attempts) -> InnerloopError:
    """The error of a stream that broke off."""
    if isinstance(error, httpx.DecodingError) or attempts.left_s <= 0:
        return session.no_answer(error, attempts)
    return ConnectionFailed(f"{BROKEN} ({str(error) or type(error).__name__})")


def _number(loss: float | None) -> float:
    if not are_losses([loss]):
        raise TypeError(f"the loss is {shown(loss)}")
    return math.nan if loss is None else float(loss)
