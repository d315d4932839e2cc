"""HTTP requests: first read as bytes with their media types, then, with the model they name, as commands.

Transport errors are raised here, errors in the form of a value in `codec` and `support`, and what a model does not
allow in `app.service.request_checks`.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple, TypeVar

from fastapi import Request
from msgspec import UNSET, UnsetType
from starlette.requests import ClientDisconnect

from app.api import schemas
from app.api.codec import JSON, MSGPACK, NDJSON, Codec, read_inputs
from app.api.connection import Connection
from app.api.state import Limits
from app.api.support import read_support
from app.errors import BodyTooLarge, Invalid, UnsupportedMedia
from app.service.commands import AdaptCommand, PredictCommand, task_of
from app.service.cross_validation import Method
from app.service.model import Model
from app.service.outputs import PredictOptions
from app.service.record import Adaptation, InnerLoopSettings
from app.service.request_checks import (
    check_assessment,
    check_initialization,
    check_inner_loop,
    check_options,
    check_ttl,
)

T = TypeVar("T")
CODECS: Mapping[str, Codec] = {codec.media: codec for codec in (JSON, MSGPACK)}


class MediaTypes(NamedTuple):
    """What the headers of a request say of bodies.

    codec, answer_codec: of the body and of the answer
    ndjson: whether the body is many bodies, one a line
    events: whether the client wants a stream of events
    """

    codec: Codec
    answer_codec: Codec
    ndjson: bool
    events: bool


class IncomingRequest(NamedTuple):
    """A request whose body has been read but not decoded."""

    body: bytes
    connection: Connection
    media: MediaTypes

    def decode(self, form: type[T]) -> T:
        """The body as `form`. Raises Malformed and Invalid."""
        return self.media.codec.decode(self.body, form)


async def receive(request: Request, limit: int, ndjson: bool = False) -> IncomingRequest:
    """Read a request. Raises UnsupportedMedia, and BodyTooLarge as soon as the body is over `limit` bytes.

    ndjson: whether application/x-ndjson is taken
    """
    headers = dict(request.scope["headers"])
    media = _media_types(headers.get(b"content-type", b"none"), headers.get(b"accept", b""), ndjson)
    body = await _read_body(request, headers.get(b"content-length", b""), limit)
    return IncomingRequest(body, Connection.from_headers(headers, request.receive), media)


@lru_cache(maxsize=64)
def _media_types(content_type: bytes, accept: bytes, ndjson: bool) -> MediaTypes:
    """Cached: clients send the same headers again and again. Raises UnsupportedMedia."""
    declared, accepted = content_type.decode("latin-1"), accept.decode("latin-1")
    media = declared.partition(";")[0].strip().lower()
    codec = JSON if ndjson and media == NDJSON else CODECS.get(media)
    if codec is None:
        known = ", ".join([*CODECS, *([NDJSON] if ndjson else [])])
        raise UnsupportedMedia(f"the content type is {declared}; send one of {known}")
    wanted = [each for each in CODECS.values() if each.media in accepted]
    answer_codec = min(wanted, key=lambda each: accepted.index(each.media)) if wanted else codec
    return MediaTypes(codec, answer_codec, media == NDJSON, "text/event-stream" in accepted)


async def _read_body(request: Request, content_length: bytes, limit: int) -> bytes:
    if content_length.isdigit() and int(content_length) > limit:
        raise _too_large(limit)
    parts, size, more = [], 0, True
    while more:
        # what `request.stream` does, in a third of its 25 us
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False)
        if size > limit:
            raise _too_large(limit)
    return b"".join(parts)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is over {limit} bytes; send fewer examples or queries at a time")


def adapt_command(body: schemas.AdaptRequest, model: Model, connection: Connection, limits: Limits) -> AdaptCommand:
    """The command of POST /adapt for the model that it names. Raises Invalid."""
    ttl_s, settings = _value(body.ttl_s), InnerLoopSettings(_value(body.steps), _value(body.learning_rate))
    assess = None if body.assess is UNSET else Method[body.assess]
    check_ttl(ttl_s, limits.ttl)
    check_assessment(model, assess)
    support = read_support(body.support, model, limits.support)
    check_inner_loop(model, settings)
    return AdaptCommand(
        owner=connection.owner,
        model=model,
        support=support,
        settings=settings,
        ttl_s=ttl_s,
        label=_value(body.label),
        pinned=_value(body.pinned),
        assess=assess,
        key=connection.key,
        reuse=body.reuse,
    )


def check_predict_fields(body: schemas.PredictRequest) -> None:
    """The fields of POST /predict fit one of its three forms. Raises Invalid."""
    if (body.adaptation_id is UNSET) == (body.model is UNSET):
        raise Invalid("exactly one of adaptation_id and model is expected")
    if body.support is UNSET and not (body.steps is UNSET and body.learning_rate is UNSET):
        raise Invalid("steps and learning_rate belong to a support set to adapt to: send one, or leave them out")
    if body.adaptation_id is not UNSET and body.support is not UNSET:
        raise Invalid("an adaptation has its support set already: send adaptation_id or support, not both")
    if body.model is not UNSET and body.pinned is not UNSET:
        raise Invalid("only an adaptation can be pinned: send adaptation_id, or leave pinned out", "pinned")


def predict_command(
    body: schemas.PredictRequest, model: Model, adaptation: Adaptation | None, limits: Limits
) -> PredictCommand:
    """The command of POST /predict for the model that answers it, and for its adaptation. Raises Invalid."""
    options = PredictOptions(_value(body.interval), body.sample, _value(body.seed))
    if adaptation is None and body.support is UNSET:
        check_initialization(model, options)
    task = None if adaptation is None else adaptation.task
    if body.support is not UNSET:
        settings = InnerLoopSettings(_value(body.steps), _value(body.learning_rate))
        support = read_support(body.support, model, limits.support)
        check_inner_loop(model, settings)
        task = task_of(model, support, settings)
    check_options(model, options, task)
    queries = read_inputs(body.queries, model.bundle.manifest.schema, "queries")
    return PredictCommand(model, queries, None if adaptation is not None else task, adaptation, options)


def _value(field: T | UnsetType) -> T | None:
    """A field, or None where it was left out."""
    return None if isinstance(field, UnsetType) else field
