"""The routes that say whether the server is alive and ready."""

from fastapi import APIRouter, Response
from msgspec import UNSET

from app.api import schemas
from app.api.codec import JSON
from app.api.openapi import response_docs
from app.api.state import State

router = APIRouter()


@router.get("/health/live", responses=response_docs(schemas.Live))
async def live() -> Response:
    """Whether the process answers."""
    return JSON.respond(schemas.Live(status="live"))


@router.get("/health/ready", responses=response_docs(schemas.Ready) | response_docs(schemas.Ready, 503))
async def ready(server: State) -> Response:
    """Whether the server can adapt: 503 as long as no bundle serves."""
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
