"""Bodies become arrays here, and answers become bodies; nowhere else.

`AdaptBody` and `PredictBody` are what a route declares to get a body decoded, checked against the bundle it names, and
made into float32 arrays. Everything a client can get wrong is refused here, with its place and the cure.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
import orjson
from fastapi import Depends, Request, Response
from msgspec import UNSET, UnsetType

from app import schemas
from app.api.state import ServerState, State
from app.errors import BodyTooLarge, Invalid, Malformed, UnsupportedMedia
from app.service.adaptations import Answer, Question
from app.service.model import Model
from app.service.store import Adaptation
from app.service.task import Task

T = TypeVar("T")
FLOAT32_MAX = float(np.finfo(np.float32).max)


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


def decode(body: bytes, form: type[T]) -> T:
    """The body as `form`. Raises Malformed where it is not JSON, and Invalid, with the place, where it does not fit."""
    try:
        return msgspec.json.decode(body, type=form)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise Invalid(_in_words_of_json(message), path.rstrip("`").lstrip(".")) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"the body is not JSON in UTF-8 (NaN and Infinity are none either): {error}") from error
    except RecursionError as error:
        raise Malformed("the body is nested too deeply; arrays of numbers need two levels") from error


def _in_words_of_json(message: str) -> str:
    """Msgspec's message in the words of JSON, and what to do."""
    message = re.sub(r"`(int|float|str|bool|null|array|object)(?: \| \w+)*`", lambda found: _JSON[found[1]], message)
    message = message[:1].lower() + message[1:]
    if "got a string" in message and "number" in message:
        return message + " (numbers are written without quotes)"
    if "unknown field" in message:
        return message + " (correct its name, or leave it out)"
    return message


_JSON = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "bool": "a boolean",
    "null": "null",
    "array": "an array",
    "object": "an object",
}


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


def rows(values: Sequence[Sequence[float]], width: int, unit: str, place: str) -> np.ndarray:
    """Numbers as float32 [row, width]. Raises Invalid at the first row of another width or huge number."""
    for index, row in enumerate(values):
        if len(row) != width:
            plural = "" if width == 1 else "s"
            raise Invalid(f"{width} {unit}{plural} expected, got {len(row)}", f"{place}[{index}]")
    exact = np.array(values, np.float64)
    if np.abs(exact).max() > FLOAT32_MAX:
        index, column = np.argwhere(np.abs(exact) > FLOAT32_MAX)[0]
        found = f"{exact[index, column]:g} is not finite in float32: scale the data"
        raise Invalid(found, f"{place}[{index}][{column}]")
    return exact.astype(np.float32)


def respond(answer: schemas.Answer, status: int = 200, media_type: str = "application/json") -> Response:
    """An answer as a response. Arrays of float32 are written with no more digits than float32 has."""
    content = orjson.dumps(answer, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, status, media_type=media_type)


def _plain(value: Any) -> Any:
    """What orjson does not write by itself: structs, without the fields that are unset."""
    if isinstance(value, msgspec.Struct):
        return {name: field for name in value.__struct_fields__ if (field := getattr(value, name)) is not UNSET}
    raise TypeError(f"cannot write {type(value)}")


def adapted(adaptation: Adaptation) -> schemas.AdaptResponse:
    """A record as the client sees it."""
    return schemas.AdaptResponse(
        adaptation_id=adaptation.id,
        model=adaptation.model,
        model_digest=adaptation.model_digest,
        kind=adaptation.kind,
        support_size=len(adaptation.task.inputs),
        steps=adaptation.task.steps,
        learning_rate=adaptation.task.learning_rate,
        losses=losses(adaptation.losses),
        status=adaptation.status.name,
        message=adaptation.status.value,
        created_at=time(adaptation.created_at),
        expires_at=time(adaptation.expires_at),
        label=UNSET if adaptation.label is None else adaptation.label,
    )


def predicted(answer: Answer) -> schemas.PredictResponse:
    """Predictions as the client sees them."""
    question, outcome = answer.question, answer.adapted if answer.question.adaptation is None else None
    return schemas.PredictResponse(
        predictions=answer.predictions,
        model=question.model.bundle.name,
        model_digest=question.model.bundle.manifest.digest,
        adaptation_id=UNSET if question.adaptation is None else question.adaptation.id,
        losses=UNSET if outcome is None else losses(outcome.losses),
        status=UNSET if outcome is None else outcome.status.name,
    )


def losses(values: Sequence[float]) -> np.ndarray:
    """Losses as they are written: float32, null where not finite."""
    return np.array(values, np.float32)


def time(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
