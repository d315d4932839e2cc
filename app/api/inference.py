"""The routes of POST /adapt and POST /predict: decode, call the service, encode."""

from functools import partial

from fastapi import Request, Response
from msgspec import UNSET

from app.api import openapi_examples as examples
from app.api import schemas
from app.api.codec import JSON, MSGPACK, NDJSON
from app.api.csv_answers import csv_predictions
from app.api.csv_requests import CSV
from app.api.dependencies import ServerState, State
from app.api.fast_path import FastRoute
from app.api.http_caller import Client
from app.api.media_types import EVENTS
from app.api.ndjson import answer_lines
from app.api.openapi import ADAPT_AND_PREDICT, request_docs, response_docs
from app.api.parse_commands import adapt_command, check_source_fields, predict_command, version_of
from app.api.requests import IncomingRequest, receive
from app.api.responses import adapt_response, predict_response
from app.api.sse import adapt_events
from app.api.support import is_slow
from app.errors import (
    BodyTooLarge,
    DeadlinePassed,
    Diverged,
    ExpiredAdaptation,
    Invalid,
    KeyReused,
    Malformed,
    OtherVersion,
    Outgrown,
    Overloaded,
    PinnedBundleGone,
    QuotaExceeded,
    StoreFailed,
    UnknownAdaptation,
    UnknownModel,
    UnsupportedEncoding,
    UnsupportedMedia,
)
from app.service.commands import AdaptCommand, PredictResult, check_version
from app.service.deadlines import in_time
from app.service.model import Model
from app.service.record import Adaptation

BODY = (
    Malformed, UnknownModel, OtherVersion, BodyTooLarge, UnsupportedMedia, UnsupportedEncoding, Invalid, Diverged,
    Overloaded, StoreFailed, DeadlinePassed,
)  # fmt: skip
BY_ID = (UnknownAdaptation, ExpiredAdaptation, StoreFailed)
DERIVED = (*BY_ID, UnknownModel, Outgrown, PinnedBundleGone, Diverged, Overloaded, DeadlinePassed, QuotaExceeded)


async def adapt(request: Request, server: State) -> Response:
    """Adapt a model to a support set and store the result as an adaptation. Predict with its `adaptation_id`.

    Send `Accept: text/event-stream` to receive each loss as soon as it is known; closing the connection cancels the
    remaining steps. Send `Content-Type: application/x-ndjson` to send one request on each line, or `text/csv` to send
    examples as a CSV.
    """
    incoming = await receive(request, server.limits.body, server.large_bodies, ndjson=True)
    if incoming.media.ndjson:
        return answer_lines(incoming, partial(_adapted, server=server), server.limits.lines, server.large_bodies)
    if incoming.media.events:
        steps = server.adaptations.stream(await _adapt_command(incoming, server), incoming.client)
        return await adapt_events(steps, incoming.client, server.adaptations.cut_examples)
    return incoming.media.answer_codec.respond(await _adapted(incoming, server), 201)


async def _adapted(incoming: IncomingRequest, server: ServerState) -> schemas.AdaptResponse:
    client, command = incoming.client, await _adapt_command(incoming, server)
    adaptation = await in_time(client, server.adaptations.adapt(command, client))
    return adapt_response(adaptation, await server.adaptations.cut_examples(adaptation))


async def _adapt_command(incoming: IncomingRequest, server: ServerState) -> AdaptCommand:
    form, bodies = schemas.AdaptRequest, server.large_bodies
    small = incoming.is_small
    body = incoming.decode(form) if small else await bodies.decode(incoming, form)
    model = server.models.named(body.model)
    inputs = body, model, incoming.client, server.limits
    if small and not is_slow(model, body.support):
        return adapt_command(*inputs)
    return await bodies.read(incoming, partial(adapt_command, *inputs))


async def predict(request: Request, server: State) -> Response:
    """Predict the targets of queries, with an adaptation or by adapting to a support set in the same call.

    A prediction does not depend on the other queries, apart from small rounding differences. Send `Content-Type:
    application/x-ndjson` to send one request on each line, or `text/csv` to send queries as a CSV. Send `Accept:
    text/csv` to receive the predictions as a CSV.
    """
    incoming = await receive(request, server.limits.body, server.large_bodies, ndjson=True)
    if incoming.media.ndjson:
        return answer_lines(incoming, partial(_predicted_line, server=server), server.limits.lines, server.large_bodies)
    predicted, respond = await _predicted(incoming, server), incoming.media.answer_codec.respond
    if incoming.media.csv_answer:
        respond = partial(csv_predictions, bundle=predicted.command.model.bundle)
    return await server.large_bodies.write(predict_response(predicted), respond)


async def _predicted_line(incoming: IncomingRequest, server: ServerState) -> schemas.PredictResponse:
    return predict_response(await _predicted(incoming, server))


async def _predicted(incoming: IncomingRequest, server: ServerState) -> PredictResult:
    form, client, bodies = schemas.PredictRequest, incoming.client, server.large_bodies
    small = incoming.is_small
    body = incoming.decode(form) if small else await bodies.decode(incoming, form)
    check_source_fields(body)
    adaptation, model = await in_time(client, resolve(body, server, client))
    inputs = body, model, adaptation, server.limits, client.owner
    if small and not is_slow(model, body.support, body.queries):
        command = predict_command(*inputs)
    else:
        command = await bodies.read(incoming, partial(predict_command, *inputs))
    return await server.adaptations.predict(command, client)


async def resolve(
    body: schemas.PredictRequest | schemas.ProposeRequest, server: ServerState, client: Client
) -> tuple[Adaptation | None, Model]:
    """The adaptation that a body names, if any, and the model that answers it. Raises OtherVersion."""
    if body.adaptation_id is not UNSET:
        pinned = None if body.pinned is UNSET else body.pinned
        adaptation, model = await server.changes.current(client.owner, body.adaptation_id, pinned, client)
    else:
        assert body.model is not UNSET, "one of the two is there"
        adaptation, model = None, server.models.named(body.model)
    check_version(model, version_of(body))
    return adaptation, model


FAST_ROUTES = [
    FastRoute(
        "/adapt",
        adapt,
        method="POST",
        operation_id="adapt",
        status_code=201,
        tags=[ADAPT_AND_PREDICT],
        summary="Adapt to a support set",
        openapi_extra=request_docs(schemas.AdaptRequest, examples.ADAPT, ndjson=True),
        responses=response_docs("One answer for each line of an NDJSON body.", examples.ADAPTED, media=(NDJSON,))
        | response_docs(
            "The adaptation, with its id, its losses and a status.",
            examples.ADAPTED,
            201,
            (*BODY, KeyReused, QuotaExceeded),
            (JSON.media, MSGPACK.media, EVENTS),
        ),
    ),
    FastRoute(
        "/predict",
        predict,
        method="POST",
        operation_id="predict",
        tags=[ADAPT_AND_PREDICT],
        summary="Predict queries",
        openapi_extra=request_docs(schemas.PredictRequest, examples.PREDICT, ndjson=True),
        responses=response_docs(
            "A prediction for each query, in their order.",
            examples.PREDICTED,
            200,
            (*BODY, *DERIVED),
            (JSON.media, MSGPACK.media, NDJSON, CSV),
        ),
    ),
]
