"""The body of POST /adapt."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from innerloop_client.model_versions import Described, for_version
from innerloop_client.session import Call, Session
from innerloop_client.support_set import Examples

Assess = Literal["leave_one_out", "k_fold"]


class TaskOptions(TypedDict, total=False):
    """What `Client.adapt` takes besides the model and the examples; its docstring says what each is."""

    weights: Any
    labels: Any
    episodes: Sequence[Mapping[str, Any]]
    steps: int | None
    learning_rate: float | None
    label_names: bool | None
    ttl_s: int | None
    label: str | None
    assess: Assess | None
    reuse: bool | None
    pinned: bool | None


class AdaptOptions(TaskOptions, total=False):
    """What a single call takes besides."""

    idempotency_key: str | None
    timeout: float | None


class _Model(TypedDict):
    model: str


class Task(_Model, TaskOptions, total=False):
    """A task for `Client.adapt_many`: the arguments of `Client.adapt`."""

    x: Any
    y: Any


SUPPORT = ("weights", "labels", "episodes")
"""The options that are a part of the support set."""


class AdaptBody:
    """A body of POST /adapt, which can be made for several versions of the model."""

    def __init__(self, model: str, x: Any, y: Any, options: Mapping[str, Any]) -> None:
        """options: those that are None are left out. Raises UnsupportedInput."""
        self._model, self._examples = model, Examples(x, y, **{name: options.get(name) for name in SUPPORT})
        self._rest = {name: value for name, value in options.items() if name not in SUPPORT and value is not None}

    async def read(self, models: Described) -> dict[str, Any]:
        """The body for the version that `models` describes. Raises UnsupportedInput."""
        support = await self._examples.read(models, self._model)
        return {"model": self._model, "support": support} | self._rest | models.condition

    async def send(self, session: Session, key: str) -> Any:
        """Adapt, and return what the server says of the adaptation."""

        async def request(models: Described) -> Any:
            return (await session.send(Call.of_body("/adapt", await self.read(models), key=key))).body

        return await for_version(session, request)
