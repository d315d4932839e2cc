"""The routes of POST /adapt and POST /predict: decode, call the service, encode."""

from fastapi import Request, Response
from msgspec import UNSET

from app.api import schemas
from app.api.client import Client
from app.api.codec import JSON, MSGPACK, NDJSON
from app.api.fast_path import FastRoute
from app.api.ndjson import answer_lines
from app.api.openapi import request_docs, response_docs
from app.api.parse import adapt_command, check_predict_fields, predict_command
from app.api.requests import IncomingRequest, receive
from app.api.responses import adapt_response, predict_response
from app.api.sse import adapt_events
from app.api.state import server_state
from app.errors import (
    BodyTooLarge,
    DeadlinePassed,
    Diverged,
    ExpiredAdaptation,
    Invalid,
    KeyReused,
    Malformed,
    Outgrown,
    Overloaded,
    QuotaExceeded,
    StoreFailed,
    UnknownAdaptation,
    UnknownModel,
    UnsupportedMedia,
)
from app.service.adaptations import Adaptations
from app.service.commands import AdaptCommand
from app.service.model import Model
from app.service.record import Adaptation

BODY = (
    Malformed, UnknownModel, BodyTooLarge, UnsupportedMedia, Invalid, Diverged, Overloaded, StoreFailed, DeadlinePassed,
)  # fmt: skip
BY_ID = (UnknownAdaptation, ExpiredAdaptation, StoreFailed)
DERIVED = (*BY_ID, UnknownModel, Outgrown, Diverged, Overloaded, DeadlinePassed, QuotaExceeded)
SUPPORT = {"inputs": [[-4], [-2], [0.5], [2], [4]], "targets": [3.03, -3.64, 1.92, 3.64, -3.03]}


async def adapt(request: Request) -> Response:
    """Adapt a model to a support set, and keep the adaptation.

    With `Accept: text/event-stream` each step's loss is an event as it happens, and the result is the last one; closing
    the connection cancels the work. With application/x-ndjson each line is a request, answered by a line, in order.
    """
    server = server_state(request)
    incoming = await receive(request, server.limits.body, ndjson=True)

    def command(incoming: IncomingRequest) -> AdaptCommand:
        body = incoming.decode(schemas.AdaptRequest)
        return adapt_command(body, server.adaptations.model(body.model), incoming.client, server.limits)

    async def answer(incoming: IncomingRequest) -> schemas.AdaptResponse:
        return adapt_response(await server.adaptations.adapt(command(incoming), incoming.client))

    if incoming.media.ndjson:
        return answer_lines(incoming, answer, server.limits.lines)
    if incoming.media.events:
        return await adapt_events(server.adaptations.stream(command(incoming), incoming.client))
    return incoming.media.answer_codec.respond(await answer(incoming), 201)


async def predict(request: Request) -> Response:
    """Answer queries: by an adaptation, by adapting to a support set, or by the initialization itself.

    With application/x-ndjson each line is a request, answered by a line, in order.
    """
    server = server_state(request)
    incoming = await receive(request, server.limits.body, ndjson=True)

    async def answer(incoming: IncomingRequest) -> schemas.PredictResponse:
        body = incoming.decode(schemas.PredictRequest)
        check_predict_fields(body)
        adaptation, model = await resolve(body, server.adaptations, incoming.client)
        command = predict_command(body, model, adaptation, server.limits)
        return predict_response(await server.adaptations.predict(command, incoming.client))

    if incoming.media.ndjson:
        return answer_lines(incoming, answer, server.limits.lines)
    return incoming.media.answer_codec.respond(await answer(incoming))


async def resolve(
    body: schemas.PredictRequest, adaptations: Adaptations, client: Client
) -> tuple[Adaptation | None, Model]:
    """The adaptation that a body names, if any, and the model that answers it."""
    if body.adaptation_id is not UNSET:
        pinned = None if body.pinned is UNSET else body.pinned
        return await adaptations.current(client.owner, body.adaptation_id, pinned, client)
    assert body.model is not UNSET, "one of the two is there"
    return None, adaptations.model(body.model)


FAST_ROUTES = [
    FastRoute(
        "/adapt",
        adapt,
        method="POST",
        status_code=201,
        openapi_extra=request_docs(
            schemas.AdaptRequest, {"model": "sinusoid", "support": SUPPORT, "label": "pump 17"}, ndjson=True
        ),
        responses=response_docs(
            schemas.AdaptResponse,
            201,
            (*BODY, KeyReused, QuotaExceeded),
            (JSON.media, MSGPACK.media, "text/event-stream"),
        )
        | response_docs(schemas.AdaptResponse, 200, media=(NDJSON,)),
    ),
    FastRoute(
        "/predict",
        predict,
        method="POST",
        openapi_extra=request_docs(
            schemas.PredictRequest, {"model": "sinusoid", "support": SUPPORT, "queries": [[-3], [1], [3]]}, ndjson=True
        ),
        responses=response_docs(schemas.PredictResponse, 200, (*BODY, *DERIVED), (JSON.media, MSGPACK.media, NDJSON)),
    ),
]
