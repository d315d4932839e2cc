"""The clients: `AsyncClient` for an event loop, and `Client`, which blocks."""

from typing import TYPE_CHECKING, Any

import httpx

from innerloop_client.adapt_request import AdaptOptions
from innerloop_client.adaptation import Adaptation, AsyncAdaptation
from innerloop_client.blocking import blocking, finish, iterating
from innerloop_client.client_methods import ClientMethods
from innerloop_client.connection_options import Options
from innerloop_client.policy import AsyncPolicy, Policy, PolicyOptions
from innerloop_client.session import Session
from innerloop_client.streams import AdaptStream, AsyncAdaptStream
from innerloop_client.transport import AsyncTransport, BlockingTransport

if TYPE_CHECKING:
    from typing_extensions import Unpack  # typing has it from Python 3.11 on

TIMEOUT_S, RETRIES = 60.0, 5


class AsyncClient(ClientMethods[AsyncAdaptation]):
    """A client for a single event loop: each `asyncio.run` needs its own."""

    _form = AsyncAdaptation

    def __init__(
        self,
        url: str | httpx.URL | None = None,
        api_key: str | None = None,
        *,
        timeout: float = TIMEOUT_S,
        retries: int = RETRIES,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        """See `Client`."""
        options = Options.read(url, api_key, timeout, retries)
        self._session = Session(AsyncTransport(http), options)

    def adapt_stream(
        self, model: str, x: Any = None, y: Any = None, **options: "Unpack[AdaptOptions]"
    ) -> AsyncAdaptStream:
        """See `Client.adapt_stream`. Iterate with `async for`."""
        return AsyncAdaptStream(self._session, AsyncAdaptation, (model, x, y), options)

    def policy(
        self, model: str, adaptation: AsyncAdaptation | None = None, **options: "Unpack[PolicyOptions]"
    ) -> AsyncPolicy:
        """See `Client.policy`."""
        return AsyncPolicy(self, model, adaptation, options)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.transport.close()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()


class Client:
    """A client that blocks. Threads may share it. So may processes that are forked later, unless you pass `http`."""

    _form = Adaptation

    def __init__(
        self,
        url: str | httpx.URL | None = None,
        api_key: str | None = None,
        *,
        timeout: float = TIMEOUT_S,
        retries: int = RETRIES,
        http: httpx.Client | None = None,
    ) -> None:
        """Open a client; connections are made when they are needed.

        url: of the server; otherwise the environment variable INNERLOOP_URL, or http://127.0.0.1:8000
        api_key: otherwise INNERLOOP_API_KEY
        timeout: seconds of a call, with all its retries
        retries: how often a request is sent again if the server is overloaded or does not answer
        http: a client of httpx with certificates, proxies or limits of your own
        """
        options = Options.read(url, api_key, timeout, retries)
        self._session = Session(BlockingTransport(http), options)

    adapt = blocking(ClientMethods[Adaptation].adapt)
    adapt_many = blocking(ClientMethods[Adaptation].adapt_many)
    predict = blocking(ClientMethods[Adaptation].predict)
    propose = blocking(ClientMethods[Adaptation].propose)
    adaptation = blocking(ClientMethods[Adaptation].adaptation)
    adaptations = iterating(ClientMethods[Adaptation].adaptations)
    models = blocking(ClientMethods[Adaptation].models)
    refused_bundles = blocking(ClientMethods[Adaptation].refused_bundles)
    model = blocking(ClientMethods[Adaptation].model)
    health = blocking(ClientMethods[Adaptation].health)

    def adapt_stream(self, model: str, x: Any = None, y: Any = None, **options: "Unpack[AdaptOptions]") -> AdaptStream:
        """Adapt step by step: iterate over the support loss before the first step and after each step.

        The examples are read when the iteration begins. The stream has the `adaptation` after the last loss. Closing it
        before cancels the steps that are left. Only one thread may iterate. The time that you take between two losses
        does not count towards the timeout. See `adapt` for the options.
        """
        return AdaptStream(self._session, Adaptation, (model, x, y), options)

    def policy(self, model: str, adaptation: Adaptation | None = None, **options: "Unpack[PolicyOptions]") -> Policy:
        """A policy to act with, which is the initialization of a model until it adapts. No request is sent.

        model: the name of a model that makes decisions
        adaptation: one of this model, to go on from
        options: `steps`, `learning_rate`, `ttl_s`, `label` and `pinned` of the adaptation that the first `adapt` of
            the policy makes; see `adapt`. Not together with `adaptation`
        """
        return Policy(self, model, adaptation, options)

    def close(self) -> None:
        """Close all connections."""
        finish(self._session.transport.close())

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
