"""The routes of adaptations once they are made: list, show, extend, forget, undo, delete, download."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from safetensors.numpy import save

from app.api import schemas
from app.api.client import ANYONE
from app.api.codec import JSON, MSGPACK
from app.api.inference import BODY, BY_ID, DERIVED
from app.api.openapi import header_docs, request_docs, response_docs
from app.api.requests import receive
from app.api.responses import adapt_response, history_response, page_response
from app.api.state import RequestClient, State
from app.api.support import read_support, show_support
from app.errors import Invalid, KeyReused, LastExample, NothingToUndo, StoreFailed, UnknownExample
from app.service.store import Filter

router = APIRouter()
MORE = {"inputs": [[3]], "targets": [0.56]}
Id = Annotated[str, Path(description="As POST /adapt gave it")]
Limit = Annotated[int, Query(ge=1, le=1000, description="The most adaptations of a page")]
Cursor = Annotated[str | None, Query(description="`next` of the page before", pattern="^[0-9a-f]{32}$")]
OfModel = Annotated[str | None, Query(description="Only those of this model")]
Labelled = Annotated[str | None, Query(description="Only those with this label, exactly")]


@router.get("/adaptations", responses=response_docs(schemas.AdaptationList, 200, (Invalid, StoreFailed)))
async def list_adaptations(
    server: State, limit: Limit = 100, cursor: Cursor = None, model: OfModel = None, label: Labelled = None
) -> Response:
    """The adaptations that have not expired, newest first."""
    # one more than is shown, to know whether there is another page
    adaptations = await server.adaptations.page(ANYONE, Filter(model, label), limit + 1, cursor)
    return JSON.respond(page_response(adaptations, limit))


@router.get("/adaptations/{id}", responses=response_docs(schemas.AdaptResponse, 200, BY_ID))
async def get_adaptation(id: Id, server: State) -> Response:
    """One adaptation."""
    return JSON.respond(adapt_response(await server.adaptations.get(ANYONE, id)))


@router.delete("/adaptations/{id}", status_code=204, responses=response_docs(None, 204, BY_ID))
async def delete_adaptation(id: Id, server: State) -> Response:
    """Delete an adaptation with its support set."""
    await server.adaptations.delete(ANYONE, id)
    return Response(status_code=204)


@router.get("/adaptations/{id}/history", responses=response_docs(schemas.History, 200, BY_ID))
async def get_history(id: Id, server: State) -> Response:
    """The revisions of an adaptation, each with the change that made it."""
    return JSON.respond(history_response(await server.adaptations.get(ANYONE, id)))


@router.get("/adaptations/{id}/support", responses=response_docs(schemas.SupportView, 200, BY_ID))
async def get_support(id: Id, server: State) -> Response:
    """The examples of an adaptation, with their numbers."""
    return JSON.respond(show_support(await server.adaptations.get(ANYONE, id)))


@router.post(
    "/adaptations/{id}/support",
    openapi_extra=request_docs(schemas.Support, MORE),
    responses=response_docs(schemas.AdaptResponse, 200, (*BODY, *DERIVED, KeyReused), (JSON.media, MSGPACK.media)),
)
async def extend(id: Id, request: Request, server: State) -> Response:
    """Add examples: the same as adapting to all of them at once. Makes the next revision of the same id.

    Episodes are a stage of their own, which begins with the weights after the stage before.
    """
    incoming = await receive(request, server.limits.body)
    body, client = incoming.decode(schemas.Support), incoming.client
    adaptation = await server.adaptations.get(client.owner, id)
    support = read_support(body, server.adaptations.model_of(adaptation), server.limits.support, place="")
    extended = await server.adaptations.extend(adaptation, support, client, client.key)
    return incoming.media.answer_codec.respond(adapt_response(extended))


@router.delete(
    "/adaptations/{id}/support/{example}",
    openapi_extra=header_docs(),
    responses=response_docs(schemas.AdaptResponse, 200, (*DERIVED, UnknownExample, LastExample, Invalid)),
)
async def forget(
    id: Id,
    example: Annotated[int, Path(description="The number of the example", ge=0)],
    server: State,
    client: RequestClient,
) -> Response:
    """Forget one example for good: it leaves every revision and the store, and its number is never used again."""
    adaptation = await server.adaptations.get(client.owner, id)
    return JSON.respond(adapt_response(await server.adaptations.forget(adaptation, example, client)))


@router.post(
    "/adaptations/{id}/undo",
    openapi_extra=header_docs(key=True),
    responses=response_docs(schemas.AdaptResponse, 200, (*DERIVED, NothingToUndo, Invalid, KeyReused)),
)
async def undo(id: Id, server: State, client: RequestClient) -> Response:
    """Remove the examples that were added last; again, those before. Forgotten examples stay forgotten."""
    adaptation = await server.adaptations.get(client.owner, id)
    return JSON.respond(adapt_response(await server.adaptations.undo(adaptation, client, client.key)))


@router.get(
    "/adaptations/{id}/weights",
    openapi_extra=header_docs(),
    responses=response_docs(None, 200, (*DERIVED, Invalid))
    | {
        200: {
            "description": "All parameters of the adapted network, by their names in it.",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def weights(id: Id, server: State, client: RequestClient) -> Response:
    """The adapted network's parameters as a safetensors file."""
    adaptation, parameters = await server.adaptations.weights(client.owner, id, client)
    about = {"adaptation_id": id, "revision": str(adaptation.revision), "model_digest": adaptation.digest}
    name = f'attachment; filename="{id}.safetensors"'
    return Response(
        save(parameters, about), media_type="application/octet-stream", headers={"Content-Disposition": name}
    )
