"""The bodies of requests: read, decoded, and held against the bundle that they name.

`AdaptBody` and `PredictBody` are what a route declares; it gets float32 arrays. Whatever a client can get wrong in a
body is refused here or in the codec, with its place and the cure.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from fastapi import Depends, Request
from msgspec import UNSET, UnsetType

from app import schemas
from app.api.codec import decode, rows
from app.api.state import ServerState, State
from app.errors import BodyTooLarge, Invalid, UnsupportedMedia
from app.service.adaptations import Question
from app.service.model import Model
from app.service.task import Task


@dataclass(frozen=True, eq=False)
class AdaptCommand:
    """A decoded request to adapt."""

    model: Model
    task: Task
    ttl_s: int | None
    label: str | None


async def adapt_body(request: Request, server: State) -> AdaptCommand:
    """The body of POST /adapt."""
    body = decode(await read(request, server.limits.body), schemas.AdaptRequest)
    model = server.adaptations.model(body.model)
    ttl_s = None if body.ttl_s is UNSET else body.ttl_s
    if ttl_s is not None and ttl_s > server.limits.ttl:
        raise Invalid(f"at most {server.limits.ttl} seconds, got {ttl_s}", "ttl_s")
    task = task_of(model, body.support, body.steps, body.learning_rate, server)
    return AdaptCommand(model, task, ttl_s, None if body.label is UNSET else body.label)


async def predict_body(request: Request, server: State) -> Question:
    """The body of POST /predict, in any of its three forms."""
    body = decode(await read(request, server.limits.body), schemas.PredictRequest)
    if (body.adaptation_id is UNSET) == (body.model is UNSET):
        raise Invalid("exactly one of adaptation_id and model is expected")
    if body.support is UNSET and not (body.steps is UNSET and body.learning_rate is UNSET):
        raise Invalid("steps and learning_rate belong to a support set to adapt to: send one, or leave them out")
    if body.adaptation_id is not UNSET:
        if body.support is not UNSET:
            raise Invalid("an adaptation has its support set already: send adaptation_id or support, not both")
        adaptation = await server.adaptations.get(body.adaptation_id)
        model = server.adaptations.model(adaptation.model)
        return Question(model, queries_of(model, body.queries), adaptation.task, adaptation)
    assert body.model is not UNSET, "one of the two was given"
    model = server.adaptations.model(body.model)
    queries = queries_of(model, body.queries)
    if body.support is UNSET:
        return Question(model, queries)
    return Question(model, queries, task_of(model, body.support, body.steps, body.learning_rate, server))


AdaptBody = Annotated[AdaptCommand, Depends(adapt_body)]
PredictBody = Annotated[Question, Depends(predict_body)]


async def read(request: Request, limit: int) -> bytes:
    """The whole body. Raises UnsupportedMedia, and BodyTooLarge as soon as it is over the limit."""
    media = request.headers.get("content-type", "none")
    if media.partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMedia(f"the content type is {media}; send application/json")
    too_large = BodyTooLarge(f"the body is over {limit} bytes; send fewer examples or queries at a time")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise too_large
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit:
            raise too_large
    return bytes(body)


def task_of(
    model: Model,
    support: schemas.Support,
    steps: int | UnsetType,
    learning_rate: float | UnsetType,
    server: ServerState,
) -> Task:
    """A support set as arrays, with settings inside the bundle's bounds. Raises Invalid."""
    manifest = model.bundle.manifest
    bounds = manifest.inner_loop
    if len(support.inputs) != len(support.targets):
        raise Invalid(f"{len(support.inputs)} inputs but {len(support.targets)} targets", "support")
    if len(support.inputs) > server.limits.support:
        raise Invalid(f"at most {server.limits.support} examples, got {len(support.inputs)}", "support")
    if steps is not UNSET and steps > bounds.max_steps:
        raise Invalid(f"{model.bundle.name} takes 0 to {bounds.max_steps} steps, got {steps}", "steps")
    if learning_rate is not UNSET and learning_rate > bounds.max_learning_rate:
        most = f"{bounds.max_learning_rate:g}"
        raise Invalid(f"{model.bundle.name} takes a rate above 0 up to {most}, got {learning_rate:g}", "learning_rate")
    targets = [target if isinstance(target, list) else [target] for target in support.targets]
    return Task(
        inputs=rows(support.inputs, manifest.schema.features, "feature", "support.inputs"),
        targets=rows(targets, manifest.schema.targets, "number", "support.targets"),
        steps=bounds.steps if steps is UNSET else steps,
        learning_rate=bounds.learning_rate if learning_rate is UNSET else learning_rate,
    )


def queries_of(model: Model, queries: list[list[float]]) -> np.ndarray:
    """Queries as an array [query, feature]. Raises Invalid."""
    return rows(queries, model.bundle.manifest.schema.features, "feature", "queries")
