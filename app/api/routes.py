"""The routes of models and of adapting: decode, ask the service, encode. `life` has what comes after."""

from fastapi import APIRouter, Request, Response

from app import schemas
from app.api.bodies import Sent, question, read, wanted
from app.api.codec import JSON, MSGPACK, NDJSON
from app.api.direct import DirectRoute
from app.api.events import adapt_events
from app.api.lines import answer_lines
from app.api.openapi import gives, takes
from app.api.state import State, server_state
from app.api.views import adapted, detail, predicted, refused, summary
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

router = APIRouter()
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


@router.get("/models", responses=gives(schemas.ModelList))
async def models(server: State) -> Response:
    """The bundles that serve, and those that are refused with the reason."""
    good = [summary(model) for model in server.catalogue.models.values()]
    bad = [refused(*item) for item in server.catalogue.refused.items()]
    return JSON.respond(schemas.ModelList(models=good, refused=bad))


@router.get("/models/{name}", responses=gives(schemas.ModelDetail, 200, (UnknownModel,)))
async def model(name: str, server: State) -> Response:
    """One bundle, with how well it adapts and how it was made."""
    return JSON.respond(detail(server.catalogue.named(name)))


@router.get("/health/live", responses=gives(schemas.Live))
async def live() -> Response:
    """Whether the process answers."""
    return JSON.respond(schemas.Live(status="live"))


@router.get("/health/ready", responses=gives(schemas.Ready) | gives(schemas.Ready, 503))
async def ready(server: State) -> Response:
    """Whether the server can adapt: 503 as long as no bundle serves."""
    serving = server.catalogue.models
    answer = schemas.Ready(
        status="ready" if serving else "no bundle serves",
        device=server.device,
        models=list(serving),
        compiled=bool(serving) and all(model.compiled for model in serving.values() if model.compilable),
        compiling=any(model.compiling for model in serving.values()),
    )
    return JSON.respond(answer, 200 if serving else 503)
