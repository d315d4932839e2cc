"""The routes of the bundles that are served."""

from fastapi import APIRouter, Response

from app.api import schemas
from app.api.codec import JSON
from app.api.openapi import response_docs
from app.api.responses import model_detail, model_summary, refused_bundle
from app.api.state import State
from app.errors import UnknownModel

router = APIRouter()


@router.get("/models", responses=response_docs(schemas.ModelList))
async def models(server: State) -> Response:
    """The bundles that serve, and those that are refused with the reason."""
    good = [model_summary(model) for model in server.catalogue.models.values()]
    bad = [refused_bundle(*item) for item in server.catalogue.refused.items()]
    return JSON.respond(schemas.ModelList(models=good, refused=bad))


@router.get("/models/{name}", responses=response_docs(schemas.ModelDetail, 200, (UnknownModel,)))
async def model(name: str, server: State) -> Response:
    """One bundle, with how well it adapts and how it was made."""
    return JSON.respond(model_detail(server.catalogue.named(name)))
