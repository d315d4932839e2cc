"""The routes that say whether the server is alive and ready."""

from fastapi import APIRouter, Response
from msgspec import UNSET

from app.api import examples, schemas
from app.api.codec import JSON
from app.api.openapi import HEALTH, response_docs
from app.api.state import State

router = APIRouter(tags=[HEALTH])


@router.get(
    "/health/live", summary="Check that the server runs", responses=response_docs("The server runs.", examples.LIVE)
)
async def live() -> Response:
    """Check that the server answers requests. Restart a server that does not answer."""
    return JSON.respond(schemas.Live(status="live"))


@router.get(
    "/health/ready",
    summary="Check that the server can adapt",
    responses=response_docs("There is a model to adapt.", examples.READY)
    | response_docs("There is no model to adapt. `GET /models` has the reasons.", examples.NOT_READY, 503),
)
async def ready(server: State) -> Response:
    """Check that the server has a model to adapt, and see whether the compiled inner loop serves yet."""
    serving = server.catalogue.models
    answer = schemas.Ready(
        status="ready" if serving else "no bundle serves",
        device=server.device,
        models=list(serving),
        compiled=bool(serving) and all(model.compiled for model in serving.values() if model.compilable),
        compiling=any(model.compiling for model in serving.values()),
        failing=server.background.failing or UNSET,
    )
    return JSON.respond(answer, 200 if serving else 503)
