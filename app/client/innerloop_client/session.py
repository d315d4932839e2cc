"""One conversation with a server: requests with retries and a deadline."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

import httpx

from innerloop_client.body_encoding import JSON, encode
from innerloop_client.connection_options import Options, read_timeout
from innerloop_client.errors import (
    ConnectionFailed,
    InnerloopError,
    UnexpectedAnswer,
    UnsupportedInput,
    deadline_passed,
    reason,
    shown,
)
from innerloop_client.known_models import KnownModels
from innerloop_client.proxies import environment_proxy
from innerloop_client.responses import answer, of_type, refusal
from innerloop_client.retries import RETRIED, Attempts
from innerloop_client.transport import Transport
from innerloop_client.value_encoding import sendable

CONNECT_S = 10.0
"""Longest wait for a connection, after which the request is sent again."""
MAX_TIMEOUT_MS = 86_400_000
"""The largest X-Timeout-Ms that the server takes."""
parse_url = lru_cache(64)(httpx.URL)
"""A text as a URL. httpx parses it slowly, and calls often repeat one."""


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
    def error(self) -> InnerloopError:
        """The error that the answer is."""
        return refusal(self.response)

    @property
    def gone(self) -> bool:
        """Whether a repeated request got a 404: an earlier attempt may have deleted what it names."""
        return self.repeated and self.response.status_code == httpx.codes.NOT_FOUND


@dataclass(eq=False)
class Session:
    """Sends calls, again where that may help, until the deadline.

    models: what the server has said of its models
    """

    transport: Transport
    options: Options
    models: KnownModels = field(default_factory=KnownModels, repr=False)
    _deadline: float | None = None

    def within(self, timeout: float | None) -> "Session":
        """This session for one call, whose requests share a deadline. timeout: seconds, instead of the client's"""
        if timeout is None and self._deadline is not None:
            return self
        options = self.options if timeout is None else replace(self.options, timeout=read_timeout(timeout))
        return Session(self.transport, options, self.models, time.monotonic() + options.timeout)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Session":
        """Copies of an adaptation share the connections."""
        return self

    def __reduce__(self) -> NoReturn:
        raise UnsupportedInput(
            "a client and its adaptations cannot be pickled: keep the id of an adaptation, and ask a new client for it"
        )

    async def get(self, path: str, **params: Any) -> Any:
        """The decoded body of a GET. Parameters that are None are left out."""
        present = {name: value for name, value in params.items() if value is not None}
        for name, value in present.items():
            if isinstance(value, str) and not sendable(value):
                raise UnsupportedInput(f"{name}: expected a text, got {shown(value)}")
        return (await self.send(Call("GET", path, params=present))).body

    def attempts(self) -> Attempts:
        """The attempts of the next request."""
        return Attempts(self.options.timeout, self.options.retries, self._deadline)

    async def send(self, call: Call) -> Reply:
        """Send a call until it is answered, and return the answer; it may be an error.

        Raises ConnectionFailed if no answer came.
        """
        return await self.repeat(call, self.attempts())

    async def begin(self, call: Call, attempts: Attempts) -> httpx.Response:
        """Send a call until its answer begins. The caller reads the body and closes the response.

        This is no context manager: a generator inside another one cannot be closed when an event loop ends.

        Raises the error of an answer that is not of the type that the call accepts.
        """
        response = (await self.repeat(call, attempts, stream=True)).response
        if of_type(response, call.accept):
            return response
        try:
            await self.transport.read(response)
        finally:
            await self.transport.close_response(response)
        raise refusal(response)

    async def repeat(self, call: Call, attempts: Attempts, *, stream: bool = False) -> Reply:
        """Send a call with the attempts that are left. Raises what `send` raises.

        stream: return as soon as the answer begins
        """
        while True:
            response, failure = None, None
            request, left = self._request(call, attempts)
            try:
                response = await self.transport.send(request, left, stream=stream)
                if response.status_code not in call.retried:
                    return Reply(response, attempts.repeated)
            except httpx.RequestError as error:
                if isinstance(error.__context__, httpx.InvalidURL):  # of the header Location
                    raise self._impossible_header(error) from error
                failure = error
            except (ValueError, httpx.InvalidURL) as error:
                if not self.transport.owned:  # it may be of a hook of the user
                    raise
                raise self._impossible_header(error) from error
            repeated = attempts.repeated
            wait = None if isinstance(failure, httpx.DecodingError) else attempts.wait_s(response, failure)
            if wait is None:
                if response is None:
                    raise self.no_answer(failure, attempts) from failure
                return Reply(response, repeated)
            if response is not None:
                await self.transport.close_response(response)
            await self.transport.sleep(wait)

    def _request(self, call: Call, attempts: Attempts) -> tuple[httpx.Request, float]:
        """The request of an attempt, and its time. The server is told it all, as a repeat waits for its result."""
        left = max(0.001, min(MAX_TIMEOUT_MS / 1000, attempts.left_s))
        silence = attempts.silence_s(left)
        headers = {"X-Timeout-Ms": str(max(1, int(left * 1000)))}
        if call.accept != JSON or call.media != JSON:  # the server answers JSON in JSON
            headers["Accept"] = call.accept
        if call.content is not None:
            headers["Content-Type"] = call.media
        if call.key is not None:
            headers["Idempotency-Key"] = call.key
        try:
            request = self.transport.http.build_request(
                call.method,
                parse_url(self.options.url + call.path),
                content=call.content,
                params=call.params or None,
                headers=headers | dict(self.options.headers),
                timeout=httpx.Timeout(left, connect=min(left, CONNECT_S), read=silence, write=silence),
            )
        except httpx.InvalidURL as error:
            raise UnsupportedInput(f"the values are too long for a URL: shorten them ({reason(error)})") from error
        return request, left

    def _impossible_header(self, error: Exception) -> UnexpectedAnswer:
        """The error of an answer with a header that cannot be read, such as Location."""
        actual = f"an answer with an impossible header ({reason(error)})"
        return UnexpectedAnswer(f"{self.options.url}: got {actual}: check the URL")

    def no_answer(self, error: httpx.RequestError | None, attempts: Attempts) -> InnerloopError:
        """The error of a call after its last attempt. error: of that attempt"""
        url = self.options.url
        cause = str(error) or type(error).__name__
        if isinstance(error, httpx.DecodingError):
            return UnexpectedAnswer(f"{url}: the answer is not in its own content encoding ({cause}): check the URL")
        if isinstance(error, httpx.PoolTimeout):
            fix = "all of http are in use, so allow more with httpx.Limits"
            return deadline_passed(f"no connection was free within {attempts.timeout:g} s ({fix})")
        if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
            return deadline_passed(f"{url} did not answer within {attempts.timeout:g} s")
        fix = "check that the server runs, and the URL (INNERLOOP_URL)"
        proxy = environment_proxy(url) if self.transport.owned else None
        if proxy is not None:
            fix = f"the request goes through {proxy}, from the environment: check this proxy, or set NO_PROXY"
        return ConnectionFailed(f"{url} does not answer ({cause}): {fix}")
