"""The routes that say whether the server is alive and ready."""

from fastapi import APIRouter, Response
from msgspec import UNSET

from app.api import openapi_examples as examples
from app.api import schemas
from app.api.codec import JSON
from app.api.dependencies import State
from app.api.openapi import HEALTH, response_docs
from app.errors import ExtraMissing

router = APIRouter(tags=[HEALTH])


@router.get(
    "/health/live", summary="Check that the server runs", responses=response_docs("The server runs.", examples.LIVE)
)
async def check_live() -> Response:
    """Check that the server answers requests. Restart a server that does not answer."""
    return JSON.respond(schemas.Live(status="live"))


@router.get(
    "/health/ready",
    summary="Check that the server can adapt",
    responses=response_docs("The server answers all requests, or some of them: see `degraded`.", examples.READY)
    | response_docs(
        "The server cannot answer requests: no bundle is loaded, the store cannot be read, or the worker does not "
        "answer. `degraded` has the reasons.",
        examples.NOT_READY,
        503,
    ),
)
async def check_ready(server: State) -> Response:
    """Check that the server can answer requests. `degraded` lists the parts that do not work, with the reasons."""
    serving = server.catalogue.models
    degraded = server.health.degraded
    wrong = {name: each for name, each in server.catalogue.refused.items() if not isinstance(each, ExtraMissing)}
    if wrong:
        degraded["models"] = "; ".join(f"{name}: {error.reason}" for name, error in wrong.items())
    failing = server.background.failing
    unavailable = server.health.unavailable if serving else "no bundle is loaded"
    answer = schemas.Ready(
        status=unavailable or ("degraded" if degraded or failing else "ready"),
        device=server.device,
        models=list(serving),
        compiled=bool(serving) and all(model.compiled for model in serving.values() if model.compilable),
        compiling=any(model.compiling for model in serving.values()),
        failing=failing or UNSET,
        degraded=degraded or UNSET,
    )
    return JSON.respond(answer, 503 if unavailable else 200)
