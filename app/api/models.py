"""The routes of the bundles that are served."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from app.api import openapi_examples as examples
from app.api import schemas
from app.api.codec import JSON
from app.api.dependencies import State
from app.api.openapi import MODELS, response_docs
from app.api.parameter_patterns import DIGEST
from app.api.responses import model_detail, model_summary, refused_bundle
from app.errors import Invalid, StoreFailed, UnknownModel, UnknownVersion

router = APIRouter(tags=[MODELS])
Name = Annotated[
    str,
    Path(
        description="Name of the model; `GET /models` lists them",
        openapi_examples={examples.MODEL: {"value": examples.MODEL}},
    ),
]
Version = Annotated[
    str | None,
    Query(
        description="`model_digest` of an adaptation or of an answer: that version of the model, as long as the server "
        "has it. Without it, you get the version that new adaptations use",
        pattern=DIGEST,
    ),
]


@router.get(
    "/models", summary="List the models", responses=response_docs("The models of the models folder.", examples.MODELS)
)
async def list_models(server: State) -> Response:
    """List the models that the server serves, and the bundles that it cannot serve, each with the reason."""
    good = [model_summary(model) for model in server.catalogue.models.values()]
    bad = [refused_bundle(*item) for item in server.catalogue.refused.items()]
    return JSON.respond(schemas.ModelList(models=good, refused=bad))


@router.get(
    "/models/{name}",
    summary="Get a model",
    responses=response_docs(
        "The model.", examples.ONE_MODEL, 200, (UnknownModel, UnknownVersion, Invalid, StoreFailed)
    ),
)
async def get_model(name: Name, server: State, digest: Version = None) -> Response:
    """Get a model: which requests it takes, how well it adapts and how it was trained."""
    if digest is None:
        return JSON.respond(model_detail(server.catalogue.named(name, "path.name")))
    return JSON.respond(model_detail(await server.models.version(name, digest)))
