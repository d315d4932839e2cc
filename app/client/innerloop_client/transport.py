"""How requests travel: with an event loop or without one."""

import os
import time
from collections.abc import AsyncIterator
from typing import Generic, Protocol, TypeVar

import httpx

from innerloop_client.errors import InnerloopError, reason, shown
from innerloop_client.proxies import check_ports
from innerloop_client.slow_bodies import PIECE, AsyncTimedBody, TimedBody, TimedContent

H = TypeVar("H", bound=httpx.Client | httpx.AsyncClient)


class Transport(Protocol):
    """Sends requests over connections that are used again. The coroutines of `BlockingTransport` never suspend."""

    @property
    def http(self) -> httpx.Client | httpx.AsyncClient:
        """The client that sends."""

    @property
    def owned(self) -> bool:
        """Whether the client is not one of the user, and so takes proxies from the environment."""

    async def send(self, request: httpx.Request, left_s: float, *, stream: bool = False) -> httpx.Response:
        """Send a request. Raises httpx.ReadTimeout if the whole answer is not there in time.

        left_s: the time that is left
        stream: read only the headers; `read` and `parts` keep to the same time
        """

    async def read(self, response: httpx.Response) -> None:
        """Read the body of a response that was begun with `stream`."""

    def parts(self, response: httpx.Response) -> AsyncIterator[bytes]:
        """The parts of a body as they come."""

    async def close_response(self, response: httpx.Response) -> None:
        """End a response that was begun with `stream`."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""

    async def close(self) -> None:
        """Close all connections."""


class Connections(Generic[H]):
    """A client of httpx that belongs to one process: two that share a connection get each other's answers."""

    def __init__(self, kind: type[H], http: H | None) -> None:
        """http: a client of the user, instead of one that is opened here. Raises InnerloopError for anything else."""
        if not isinstance(http, kind | None):
            raise InnerloopError(f"http: expected an httpx.{kind.__name__}, got {shown(http)}")
        self._kind, self.owned = kind, http is None
        self._http, self._process = http or opened(kind), os.getpid()

    @property
    def http(self) -> H:
        """The client of this process, a new one after a fork. Raises InnerloopError if there is none."""
        if self._process != os.getpid():
            if not self.owned:
                raise InnerloopError("http: a forked process needs a client of its own: create it after the fork")
            self._http, self._process = opened(self._kind), os.getpid()
        if self._http.is_closed:
            raise InnerloopError("the client is closed: create another one")
        return self._http


def opened(kind: type[H]) -> H:
    """A new client of httpx. Raises InnerloopError if the environment does not allow one."""
    try:
        check_ports()
        return kind()
    except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
        fix = "correct HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY or SSL_CERT_FILE"
        raise InnerloopError(f"the environment has an impossible proxy or certificate ({error}): {fix}") from error


class AsyncTransport(Connections[httpx.AsyncClient]):
    """A transport on an event loop: asyncio's or trio's."""

    def __init__(self, http: httpx.AsyncClient | None = None) -> None:
        """http: a client of the user"""
        super().__init__(httpx.AsyncClient, http)
        self._loop: tuple[object, object] | None = None

    async def send(self, request: httpx.Request, left_s: float, *, stream: bool = False) -> httpx.Response:
        """See `Transport`."""
        from anyio import fail_after  # httpx has it, for both event loops

        http, start = self.http, time.monotonic()
        self._check_loop(http)
        try:
            with fail_after(left_s):
                response = await http.send(request, stream=stream)
        except TimeoutError as error:
            raise httpx.ReadTimeout("") from error
        except RuntimeError as error:
            if "loop" not in str(error):
                raise
            fix = "an httpx.AsyncClient belongs to the event loop that uses it first: create another one"
            raise InnerloopError(f"http: {fix} ({reason(error)})") from error
        if stream:
            assert isinstance(response.stream, httpx.AsyncByteStream)
            response.stream = AsyncTimedBody(response.stream, left_s - (time.monotonic() - start))
        return response

    async def read(self, response: httpx.Response) -> None:
        """See `Transport`."""
        await response.aread()

    def parts(self, response: httpx.Response) -> AsyncIterator[bytes]:
        """See `Transport`."""
        return response.aiter_bytes()

    async def close_response(self, response: httpx.Response) -> None:
        """See `Transport`."""
        await response.aclose()

    async def sleep(self, seconds: float) -> None:
        """See `Transport`."""
        from anyio import sleep

        await sleep(seconds)

    async def close(self) -> None:
        """See `Transport`."""
        if self._process == os.getpid():
            self._check_loop(self._http)
            await self._http.aclose()

    def _check_loop(self, http: httpx.AsyncClient) -> None:
        """Raise InnerloopError if another event loop has used the connections."""
        from asyncio import get_running_loop  # slow to import, and httpx has done so by now

        try:
            used = http, get_running_loop()
        except RuntimeError:  # trio
            return
        if self._loop is None or self._loop[0] is not http:
            self._loop = used
        elif self._loop[1] is not used[1]:
            raise InnerloopError("an AsyncClient belongs to the event loop that uses it first: create another one")


class BlockingTransport(Connections[httpx.Client]):
    """A transport whose coroutines block.

    The time is checked whenever a part of a body has gone or come. httpx waits for each part on its own, so a server
    that sends its headers very slowly can hold a call up, and so can one that falls silent in the middle of its answer.
    """

    def __init__(self, http: httpx.Client | None = None) -> None:
        """http: a client of the user"""
        super().__init__(httpx.Client, http)

    async def send(self, request: httpx.Request, left_s: float, *, stream: bool = False) -> httpx.Response:
        """See `Transport`."""
        start = time.monotonic()
        if len(request.content) > PIECE:
            request.stream = TimedContent(request.content, left_s)
        response = self.http.send(request, stream=True)
        assert isinstance(response.stream, httpx.SyncByteStream)
        left_s -= time.monotonic() - start
        response.stream = TimedBody(response.stream, left_s)
        waits = request.extensions["timeout"]  # the connection reads them anew for the body
        waits["read"] = min(waits["read"], max(0.001, left_s))
        if not stream:
            await self.read(response)
        return response

    async def read(self, response: httpx.Response) -> None:
        """See `Transport`."""
        try:
            response.read()
        finally:
            response.close()

    async def parts(self, response: httpx.Response) -> AsyncIterator[bytes]:
        """See `Transport`."""
        for part in response.iter_bytes():
            yield part

    async def close_response(self, response: httpx.Response) -> None:
        """See `Transport`."""
        response.close()

    async def sleep(self, seconds: float) -> None:
        """See `Transport`."""
        time.sleep(seconds)

    async def close(self) -> None:
        """See `Transport`."""
        if self._process == os.getpid():
            self._http.close()
