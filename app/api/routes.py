"""The routes: decode, ask the service, encode."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from app import schemas
from app.api.bodies import AdaptBody, PredictBody
from app.api.codec import respond
from app.api.openapi import gives, takes
from app.api.state import State
from app.api.views import adapted, detail, predicted, refused, summary
from app.errors import (
    BodyTooLarge,
    Diverged,
    ExpiredAdaptation,
    Invalid,
    Malformed,
    Overloaded,
    UnknownAdaptation,
    UnknownModel,
    UnsupportedMedia,
)

router = APIRouter()
BODY = (Malformed, UnknownModel, BodyTooLarge, UnsupportedMedia, Invalid, Diverged, Overloaded)
SUPPORT = {"inputs": [[-4], [-2], [0.5], [2], [4]], "targets": [3.03, -3.64, 1.92, 3.64, -3.03]}
BY_ID = (UnknownAdaptation, ExpiredAdaptation)
Id = Annotated[str, Path(description="As POST /adapt gave it")]
Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many")]


@router.post(
    "/adapt",
    status_code=201,
    openapi_extra=takes(schemas.AdaptRequest, {"model": "sinusoid", "support": SUPPORT, "label": "pump 17"}),
    responses=gives(schemas.AdaptResponse, 201, BODY),
)
async def adapt(body: AdaptBody, server: State) -> Response:
    """Adapt a model to a support set, and keep the adaptation."""
    adaptation = await server.adaptations.adapt(body.model, body.task, body.ttl_s, body.label)
    return respond(adapted(adaptation), 201)


@router.post(
    "/predict",
    openapi_extra=takes(schemas.PredictRequest, {"model": "sinusoid", "support": SUPPORT, "queries": [[-3], [1], [3]]}),
    responses=gives(schemas.PredictResponse, 200, (*BODY, *BY_ID)),
)
async def predict(body: PredictBody, server: State) -> Response:
    """Answer queries by an adaptation, by a passing one, or by the initialization itself."""
    answer = await server.adaptations.predict(body)
    return respond(predicted(answer))


@router.get("/adaptations", responses=gives(schemas.AdaptationList, 200, (Invalid,)))
async def adaptations(server: State, limit: Limit = 100) -> Response:
    """The adaptations that are alive, the newest first."""
    newest = await server.adaptations.newest(limit)
    return respond(schemas.AdaptationList(adaptations=[adapted(each) for each in newest]))


@router.get("/adaptations/{id}", responses=gives(schemas.AdaptResponse, 200, BY_ID))
async def adaptation(id: Id, server: State) -> Response:
    """One adaptation."""
    return respond(adapted(await server.adaptations.get(id)))


@router.delete("/adaptations/{id}", status_code=204, responses=gives(None, 204, BY_ID))
async def delete(id: Id, server: State) -> Response:
    """Delete an adaptation, its support set with it."""
    await server.adaptations.delete(id)
    return Response(status_code=204)


@router.get("/models", responses=gives(schemas.ModelList))
async def models(server: State) -> Response:
    """The bundles that serve, and those that are refused with the reason."""
    good = [summary(model) for model in server.models.values()]
    return respond(schemas.ModelList(models=good, refused=[refused(*item) for item in server.refused.items()]))


@router.get("/models/{name}", responses=gives(schemas.ModelDetail, 200, (UnknownModel,)))
async def model(name: str, server: State) -> Response:
    """One bundle, with how well it adapts and how it was made."""
    return respond(detail(server.adaptations.model(name)))


@router.get("/health/live", responses=gives(schemas.Live))
async def live() -> Response:
    """Whether the process answers."""
    return respond(schemas.Live(status="live"))


@router.get("/health/ready", responses=gives(schemas.Ready) | gives(schemas.Ready, 503))
async def ready(server: State) -> Response:
    """Whether the server can adapt: 503 as long as no bundle serves."""
    names = list(server.models)
    compiled = bool(names) and all(model.compiled for model in server.models.values())
    answer = schemas.Ready(
        status="ready" if names else "no bundle serves", device=server.device, models=names, compiled=compiled
    )
    return respond(answer, 200 if names else 503)
