"""The body of POST /adapt."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from innerloop_client.descriptions import Models
from innerloop_client.support_set import read_support

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


async def adapt_body(models: Models, model: str, x: Any, y: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """A body of POST /adapt. Options that are None are left out. Raises UnsupportedInput."""
    support = await read_support(models, model, x, y, **{name: options.get(name) for name in SUPPORT})
    rest = {name: value for name, value in options.items() if name not in SUPPORT and value is not None}
    return {"model": model, "support": support} | rest
