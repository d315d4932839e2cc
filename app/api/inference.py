"""The routes of POST /adapt and POST /predict: decode, call the service, encode."""

from fastapi import Request, Response

from app.api import schemas
from app.api.codec import JSON, MSGPACK, NDJSON
from app.api.fast_path import DirectRoute
from app.api.ndjson import answer_lines
from app.api.openapi import gives, takes
from app.api.requests import Sent, question, read, wanted
from app.api.responses import adapted, predicted
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
    sent = await read(request, server.limits.body, lines=True)

    async def line(sent: Sent) -> schemas.AdaptResponse:
        return adapted(await server.adaptations.adapt(wanted(sent, server), sent.client))

    if sent.lines:
        return answer_lines(sent, line, server.limits.lines)
    if sent.stream:
        return await adapt_events(server.adaptations, wanted(sent, server), sent.client)
    return sent.answer.respond(await line(sent), 201)


async def predict(request: Request) -> Response:
    """Answer queries by an adaptation, by a passing one, or by the initialization itself.

    With application/x-ndjson each line is a request, answered by a line, in order.
    """
    server = server_state(request)
    sent = await read(request, server.limits.body, lines=True)

    async def line(sent: Sent) -> schemas.PredictResponse:
        return predicted(await server.adaptations.predict(await question(sent, server), sent.client))

    if sent.lines:
        return answer_lines(sent, line, server.limits.lines)
    return sent.answer.respond(await line(sent))


DIRECT = [
    DirectRoute(
        "/adapt",
        adapt,
        method="POST",
        status_code=201,
        openapi_extra=takes(
            schemas.AdaptRequest, {"model": "sinusoid", "support": SUPPORT, "label": "pump 17"}, lines=True
        ),
        responses=gives(
            schemas.AdaptResponse,
            201,
            (*BODY, KeyReused, QuotaExceeded),
            (JSON.media, MSGPACK.media, "text/event-stream"),
        )
        | gives(schemas.AdaptResponse, 200, media=(NDJSON,)),
    ),
    DirectRoute(
        "/predict",
        predict,
        method="POST",
        openapi_extra=takes(
            schemas.PredictRequest, {"model": "sinusoid", "support": SUPPORT, "queries": [[-3], [1], [3]]}, lines=True
        ),
        responses=gives(schemas.PredictResponse, 200, (*BODY, *DERIVED), (JSON.media, MSGPACK.media, NDJSON)),
    ),
]
