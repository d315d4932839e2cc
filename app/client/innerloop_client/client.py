"""The clients. Each operation is written once, in `Calls`."""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar

import httpx

from innerloop_client.adaptation import Adaptation, AsyncAdaptation
from innerloop_client.adaptation_fields import AdaptationFields
from innerloop_client.blocking import blocking, finish
from innerloop_client.inputs import read_support
from innerloop_client.session import Call, Options, Session, new_key
from innerloop_client.transport import AsyncTransport, BlockingTransport

A = TypeVar("A", bound=AdaptationFields)
Assess = Literal["leave_one_out", "k_fold"]
TIMEOUT_S, RETRIES = 60.0, 5


class Calls(Generic[A]):
    """What a client can do."""

    _session: Session
    _form: type[A]

    async def adapt(
        self,
        model: str,
        x: Any = None,
        y: Any = None,
        *,
        weights: Any = None,
        labels: Any = None,
        episodes: Sequence[Mapping[str, Any]] | None = None,
        steps: int | None = None,
        learning_rate: float | None = None,
        ttl_s: int | None = None,
        label: str | None = None,
        assess: Assess | None = None,
        reuse: bool | None = None,
        pinned: bool | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> A:
        """Adapt a model to examples, and store the adaptation on the server.

        model: its name; `models()` lists them
        x, y: the inputs and their targets: lists, arrays, tensors, pandas, images or paths of images
        weights: how much each example counts
        labels: the classes of a classifier, also those without an example
        episodes: the examples of a policy, instead of x and y: `observations`, `actions` and perhaps `rewards`
        steps, learning_rate: of the inner loop, instead of the model's
        ttl_s: seconds until the adaptation expires
        label: your own name for the adaptation
        assess: measure whether adapting helps, by predicting examples that are left out
        reuse: return the adaptation that an earlier call with `reuse` and the same content created
        pinned: stay with this version of the model when a newer one replaces it
        idempotency_key: a call with the same key and content returns the first adaptation, even from another process
        timeout: seconds, instead of the client's
        """
        support = await read_support(self._session, model, x, y, weights, labels, episodes)
        options = {
            "steps": steps, "learning_rate": learning_rate, "ttl_s": ttl_s, "label": label, "assess": assess,
            "reuse": reuse, "pinned": pinned,
        }  # fmt: skip
        body = {"model": model, "support": support} | {k: v for k, v in options.items() if v is not None}
        call = Call.of_body("/adapt", body, key=idempotency_key or new_key())
        return self._form(self._session, (await self._session.send(call, timeout)).body)


class AsyncClient(Calls[AsyncAdaptation]):
    """A client for an event loop."""

    _form = AsyncAdaptation

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = TIMEOUT_S,
        retries: int = RETRIES,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        """See `Client`."""
        options = Options.read(url, api_key, timeout, retries)
        self._session = Session(AsyncTransport(http or httpx.AsyncClient()), options)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.transport.close()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()


class Client:
    """A client that blocks. Threads may share it."""

    _form = Adaptation

    def __init__(
        self,
        url: str | None = None,
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
        self._session = Session(BlockingTransport(http or httpx.Client()), options)

    adapt = blocking(Calls[Adaptation].adapt)

    def close(self) -> None:
        """Close all connections."""
        finish(self._session.transport.close())

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
