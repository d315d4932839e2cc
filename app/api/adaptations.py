"""The routes of one adaptation after it was made, and of the list of them."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from safetensors.numpy import save

from app.api import schemas
from app.api.codec import JSON, MSGPACK
from app.api.connection import ANYONE
from app.api.inference import BODY, BY_ID, DERIVED
from app.api.openapi import asks, gives, takes
from app.api.requests import examples, read
from app.api.responses import adapted, history, page, support
from app.api.state import Asking, State
from app.errors import Invalid, KeyReused, LastExample, NothingToUndo, StoreFailed, UnknownExample
from app.service.store import Filter

router = APIRouter()
MORE = {"inputs": [[3]], "targets": [0.56]}
Id = Annotated[str, Path(description="As POST /adapt gave it")]
Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many")]
Cursor = Annotated[str | None, Query(description="`next` of the page before", pattern="^[0-9a-f]{32}$")]
OfModel = Annotated[str | None, Query(description="Only those of this model")]
Labelled = Annotated[str | None, Query(description="Only those with this label, exactly")]


@router.get("/adaptations", responses=gives(schemas.AdaptationList, 200, (Invalid, StoreFailed)))
async def adaptations(
    server: State, limit: Limit = 100, cursor: Cursor = None, model: OfModel = None, label: Labelled = None
) -> Response:
    """The adaptations that are alive, the newest first."""
    # one more than is shown, to know whether there is another page
    found = await server.adaptations.page(ANYONE, Filter(model, label), limit + 1, cursor)
    return JSON.respond(page(found, limit))


@router.get("/adaptations/{id}", responses=gives(schemas.AdaptResponse, 200, BY_ID))
async def adaptation(id: Id, server: State) -> Response:
    """One adaptation."""
    return JSON.respond(adapted(await server.adaptations.get(ANYONE, id)))


@router.delete("/adaptations/{id}", status_code=204, responses=gives(None, 204, BY_ID))
async def delete(id: Id, server: State) -> Response:
    """Delete an adaptation, its support set with it."""
    await server.adaptations.delete(ANYONE, id)
    return Response(status_code=204)


@router.get("/adaptations/{id}/history", responses=gives(schemas.History, 200, BY_ID))
async def revisions(id: Id, server: State) -> Response:
    """How an adaptation came to what it is: each revision with what made it."""
    return JSON.respond(history(await server.adaptations.get(ANYONE, id)))


@router.get("/adaptations/{id}/support", responses=gives(schemas.SupportView, 200, BY_ID))
async def examples_of(id: Id, server: State) -> Response:
    """The examples of an adaptation, with their numbers."""
    return JSON.respond(support(await server.adaptations.get(ANYONE, id)))


@router.post(
    "/adaptations/{id}/support",
    openapi_extra=takes(schemas.Support, MORE),
    responses=gives(schemas.AdaptResponse, 200, (*BODY, *DERIVED, KeyReused), (JSON.media, MSGPACK.media)),
)
async def extend(id: Id, request: Request, server: State) -> Response:
    """Add examples: the same as adapting to all of them at once. The next revision of the same id.

    Episodes are a stage of their own, which begins with the weights after the stage before.
    """
    sent = await read(request, server.limits.body)
    more = sent.codec.decode(sent.body, schemas.Support)
    model = server.adaptations.model_of(await server.adaptations.get(ANYONE, id))
    client = sent.client
    found = examples(model, more, "", server)
    extended = await server.adaptations.extend(ANYONE, id, found, client, client.key)
    return sent.answer.respond(adapted(extended))


@router.delete(
    "/adaptations/{id}/support/{example}",
    openapi_extra=asks(),
    responses=gives(schemas.AdaptResponse, 200, (*DERIVED, UnknownExample, LastExample, Invalid)),
)
async def forget(
    id: Id,
    example: Annotated[int, Path(description="The number of the example", ge=0)],
    server: State,
    client: Asking,
) -> Response:
    """Forget one example for good: it leaves every revision and the store, and its number is never given again."""
    return JSON.respond(adapted(await server.adaptations.forget(ANYONE, id, example, client)))


@router.post(
    "/adaptations/{id}/undo",
    openapi_extra=asks(key=True),
    responses=gives(schemas.AdaptResponse, 200, (*DERIVED, NothingToUndo, Invalid, KeyReused)),
)
async def undo(id: Id, server: State, client: Asking) -> Response:
    """Take back the examples that came last; again, those before. What was forgotten stays forgotten."""
    return JSON.respond(adapted(await server.adaptations.undo(ANYONE, id, client, client.key)))


@router.get(
    "/adaptations/{id}/weights",
    openapi_extra=asks(),
    responses=gives(None, 200, (*DERIVED, Invalid))
    | {
        200: {
            "description": "All parameters of the adapted network, by their names in it.",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def weights(id: Id, server: State, client: Asking) -> Response:
    """The adapted network's parameters as a safetensors file."""
    adaptation, parameters = await server.adaptations.weights(ANYONE, id, client)
    about = {"adaptation_id": id, "revision": str(adaptation.revision), "model_digest": adaptation.digest}
    name = f'attachment; filename="{id}.safetensors"'
    return Response(
        save(parameters, about), media_type="application/octet-stream", headers={"Content-Disposition": name}
    )
