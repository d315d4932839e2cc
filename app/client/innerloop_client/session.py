"""One conversation with a server: requests with retries and a deadline, and what the server said of its models."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx

from innerloop_client.body_encoding import JSON, decode, encode
from innerloop_client.connection_options import Options, check_timeout
from innerloop_client.errors import (
    ConnectionFailed,
    InnerloopError,
    UnexpectedAnswer,
    deadline_passed,
    proxy_error,
    server_error,
)
from innerloop_client.retries import RETRIED, Attempts
from innerloop_client.transport import Transport

CONNECT_S = 10.0
"""Longest wait for a connection, after which the request is sent again."""
MAX_TIMEOUT_MS = 86_400_000
"""The largest X-Timeout-Ms that the server takes."""
MODEL_CACHE_S = 60.0
"""How long `Session.model` trusts what the server said: a bundle may be replaced."""


@dataclass
class Call:
    """A request before it is sent.

    content, media: the body and its type
    accept: the type of the answer
    key: Idempotency-Key of a request that creates or changes something, so that repeats of it do so once
    retried: the status codes after which it is sent again
    """

    method: str
    path: str
    content: bytes | None = None
    media: str = JSON
    accept: str = JSON
    params: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    retried: frozenset[int] = RETRIED

    @classmethod
    def of_body(cls, path: str, body: Mapping[str, Any], *, method: str = "POST", **options: Any) -> "Call":
        """A request with a body: JSON, or msgpack if it has images or large arrays."""
        content, media = encode(body)
        return cls(method, path, content, media, **options)


class Reply(NamedTuple):
    """An answer, and whether the request was sent more than once: an earlier one may have arrived too."""

    response: httpx.Response
    repeated: bool

    @property
    def body(self) -> Any:
        """The decoded body. Raises the error that it describes."""
        return answer(self.response)

    @property
    def not_found(self) -> bool:
        """Whether the answer is a 404."""
        return self.response.status_code == httpx.codes.NOT_FOUND


class Session:
    """Sends calls, again where that may help, until the deadline."""

    def __init__(self, transport: Transport, options: Options) -> None:
        self.transport = transport
        self.options = options
        self._models: dict[str, tuple[float, Mapping[str, Any]]] = {}

    async def get(self, path: str, timeout: float | None = None, **params: Any) -> Any:
        """The decoded body of a GET. Parameters that are None are left out."""
        present = {name: value for name, value in params.items() if value is not None}
        return (await self.send(Call("GET", path, params=present), timeout)).body

    async def model(self, name: str) -> Mapping[str, Any]:
        """What the server says of a model, asked for once a minute at most."""
        known = self._models.get(name)
        if known is None or known[0] < time.monotonic() - MODEL_CACHE_S:
            self._models[name] = known = time.monotonic(), await self.get(f"/models/{quote(name, safe='')}")
        return known[1]

    def attempts(self, timeout: float | None = None) -> Attempts:
        """The attempts that a call has. timeout: seconds, instead of the client's"""
        if timeout is not None:
            check_timeout(timeout)
        return Attempts(self.options.timeout if timeout is None else timeout, self.options.retries)

    async def send(self, call: Call, timeout: float | None = None) -> Reply:
        """Send a call until it is answered, and return the answer; it may be an error.

        Raises ConnectionFailed if no answer came.
        """
        return await self.repeat(call, self.attempts(timeout))

    @asynccontextmanager
    async def stream(self, call: Call, attempts: Attempts) -> AsyncIterator[httpx.Response]:
        """Send a call until its answer begins, and read the body within the context. Raises an error it describes."""
        response = (await self.repeat(call, attempts, stream=True)).response
        try:
            if response.is_error:
                await self.transport.read(response)
                answer(response)
            yield response
        finally:
            await self.transport.close_response(response)

    async def repeat(self, call: Call, attempts: Attempts, *, stream: bool = False) -> Reply:
        """Send a call with the attempts that are left. Raises what `send` raises.

        stream: return as soon as the answer begins
        """
        while True:
            response, failure = None, None
            try:
                response = await self.transport.send(self._request(call, attempts), stream=stream)
                if response.status_code not in call.retried:
                    return Reply(response, attempts.repeated)
            except httpx.TransportError as error:
                failure = error
            repeated = attempts.repeated
            wait = attempts.wait_s(response, failure)
            if wait is None:
                if response is None:
                    raise self._no_answer(failure, attempts) from failure
                return Reply(response, repeated)
            if response is not None:
                await self.transport.close_response(response)
            await self.transport.sleep(wait)

    def _request(self, call: Call, attempts: Attempts) -> httpx.Request:
        """The request of an attempt. The server is told all the time that is left, as a repeat waits for its result."""
        left = max(0.001, attempts.left_s)
        silence = attempts.silence_s(left)
        headers = {"Accept": call.accept, "X-Timeout-Ms": str(max(1, min(MAX_TIMEOUT_MS, int(left * 1000))))}
        if call.content is not None:
            headers["Content-Type"] = call.media
        if call.key is not None:
            headers["Idempotency-Key"] = call.key
        return self.transport.http.build_request(
            call.method,
            self.options.url + call.path,
            content=call.content,
            params=call.params or None,
            headers=headers | dict(self.options.headers),
            timeout=httpx.Timeout(left, connect=min(left, CONNECT_S), read=silence, write=silence),
        )

    def _no_answer(self, error: httpx.TransportError | None, attempts: Attempts) -> InnerloopError:
        url = self.options.shown_url
        if isinstance(error, httpx.ReadTimeout):
            return deadline_passed(f"{url} did not answer within {attempts.timeout:g} s")
        reason = str(error) or type(error).__name__
        return ConnectionFailed(
            f"{url} does not answer ({reason}): check that the server runs, and the URL (INNERLOOP_URL)"
        )


def answer(response: httpx.Response) -> Any:
    """The decoded body of a response; None if it has none. Raises the error that it describes."""
    if response.status_code == httpx.codes.NO_CONTENT:
        return None
    body = decoded(response)
    if response.is_success:
        return body
    if not isinstance(body, dict) or not {"detail", "status"} <= body.keys():
        raise foreign(response)
    raise server_error(body)


def decoded(response: httpx.Response) -> Any:
    """The body of a response. Raises the error of a proxy, or UnexpectedAnswer, if it is neither JSON nor msgpack."""
    try:
        return decode(response.content, response.headers.get("content-type", ""))
    except ValueError as error:
        raise foreign(response) from error


def foreign(response: httpx.Response) -> InnerloopError:
    """The error of an answer that is not from Innerloop: of a proxy before it, or of another server."""
    url = response.url.copy_with(userinfo=b"")
    actual = f"status {response.status_code} from another server"
    return proxy_error(response.status_code, str(url)) or UnexpectedAnswer(
        f"{url}: expected an answer from Innerloop, got {actual}: check the URL"
    )
