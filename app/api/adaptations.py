"""The routes of stored adaptations: list, show, extend, delete examples, undo, delete, download."""

import json
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from safetensors.numpy import save

from app.api import openapi_examples as examples
from app.api import schemas
from app.api.codec import JSON, MSGPACK, respond
from app.api.dependencies import RequestClient, State
from app.api.http_caller import ANYONE
from app.api.inference import BODY, BY_ID, DERIVED
from app.api.openapi import ADAPTATIONS, header_docs, request_docs, response_docs
from app.api.parameter_patterns import CURSOR
from app.api.parse_commands import edit_command, version_of
from app.api.requests import accepted, receive
from app.api.responses import adapt_response, change_response, history_response, page_response
from app.api.support import is_slow, read_addition, show_support
from app.errors import (
    BodyTooLarge,
    DeadlinePassed,
    Diverged,
    Invalid,
    KeyReused,
    LastExample,
    Malformed,
    NothingToUndo,
    QuotaExceeded,
    StoreFailed,
    UnknownExample,
    UnknownModel,
    UnsupportedEncoding,
    UnsupportedMedia,
)
from app.service.commands import check_version
from app.service.deadlines import in_time
from app.service.store_protocol import Filter

router = APIRouter(tags=[ADAPTATIONS])
_BINARY = {"type": "string", "format": "binary"}
Id = Annotated[str, Path(description="Id of the adaptation: `adaptation_id` in the answer to `POST /adapt`")]
Limit = Annotated[int, Query(ge=1, le=1000, description="Largest number of adaptations in the answer")]
Cursor = Annotated[
    str | None,
    Query(description="`next` of the previous page. Without it, you get the first page", pattern=CURSOR),
]
OfModel = Annotated[
    str | None,
    Query(
        description="Only adaptations of this model. Without it, you get those of all models", examples=[examples.MODEL]
    ),
]
Labelled = Annotated[
    str | None,
    Query(
        description="Only adaptations with exactly this label. Without it, you get those with any label or none",
        examples=["pump 17"],
    ),
]


@router.get(
    "/adaptations",
    summary="List adaptations",
    responses=response_docs(
        "A page of adaptations, newest first.", examples.PAGE, 200, (UnknownModel, Invalid, StoreFailed)
    ),
)
async def list_adaptations(
    server: State, limit: Limit = 100, cursor: Cursor = None, model: OfModel = None, label: Labelled = None
) -> Response:
    """List the adaptations that have not expired, newest first. You can filter them by model and by label.

    A page can have fewer than `limit` adaptations if support sets are large. If the answer has `next`, there are more.
    """
    page = page_response(*await server.adaptations.page(ANYONE, Filter(model, label), limit, cursor))
    return server.large_bodies.hold(JSON.respond(page))


@router.get(
    "/adaptations/{id}",
    summary="Get an adaptation",
    responses=response_docs("The adaptation after its latest change.", examples.ADAPTED, 200, BY_ID),
)
async def get_adaptation(id: Id, server: State) -> Response:
    """Get an adaptation: its status, losses, settings and the numbers of its examples."""
    adaptation = await server.changes.get(ANYONE, id)
    return JSON.respond(adapt_response(adaptation, await server.adaptations.cut_examples(adaptation)))


@router.patch(
    "/adaptations/{id}",
    summary="Change the label or the expiry",
    openapi_extra=request_docs(schemas.EditRequest, examples.EDIT),
    responses=response_docs(
        "The adaptation with the new label or expiry.",
        examples.EDITED,
        200,
        (
            Malformed,
            *BY_ID,
            BodyTooLarge,
            UnsupportedMedia,
            UnsupportedEncoding,
            Invalid,
            DeadlinePassed,
            QuotaExceeded,
        ),
        (JSON.media, MSGPACK.media),
    ),
)
async def edit_adaptation(id: Id, request: Request, server: State) -> Response:
    """Change the label of an adaptation, or when it expires. Its predictions and its revision stay the same."""
    incoming = await receive(request, server.limits.body, server.large_bodies, csv=False)
    form = schemas.EditRequest
    body = incoming.decode(form) if incoming.is_small else await server.large_bodies.decode(incoming, form)
    command, client = edit_command(body, server.limits), incoming.client
    edited = await in_time(client, server.changes.edit(client.owner, id, command))
    cut = await server.adaptations.cut_examples(edited)
    return incoming.media.answer_codec.respond(adapt_response(edited, cut))


@router.delete(
    "/adaptations/{id}",
    status_code=204,
    summary="Delete an adaptation",
    responses=response_docs("The adaptation is deleted. The answer has no body.", None, 204, BY_ID),
)
async def delete_adaptation(id: Id, server: State) -> Response:
    """Delete an adaptation and its support set for good."""
    await server.changes.delete(ANYONE, id)
    return Response(status_code=204)


@router.get(
    "/adaptations/{id}/history",
    summary="List the revisions",
    responses=response_docs("The revisions, oldest first.", examples.HISTORY, 200, BY_ID),
)
async def get_history(id: Id, server: State) -> Response:
    """List the revisions of an adaptation, each with the change that made it."""
    return server.large_bodies.hold(JSON.respond(history_response(await server.changes.get(ANYONE, id))))


@router.get(
    "/adaptations/{id}/support",
    summary="List the examples",
    responses=response_docs(
        "The examples with their numbers.", examples.EXAMPLES, 200, BY_ID, (JSON.media, MSGPACK.media)
    ),
)
async def get_support(id: Id, server: State, request: Request) -> Response:
    """List the examples of an adaptation with their numbers, as you can post them again.

    You need the number of an example to delete it. Images are base64, and binary with `Accept: application/msgpack`.
    """
    codec = accepted(request)
    return await server.large_bodies.write(show_support(await server.changes.get(ANYONE, id)), codec.respond)


@router.post(
    "/adaptations/{id}/support",
    summary="Add examples",
    openapi_extra=request_docs(schemas.MoreSupport, examples.MORE),
    responses=response_docs(
        "The adaptation to all examples, old and new.",
        examples.EXTENDED,
        200,
        (*BODY, *DERIVED, KeyReused),
        (JSON.media, MSGPACK.media),
    ),
)
async def add_examples(id: Id, request: Request, server: State) -> Response:
    """Add examples and adapt again. This gives the same result as adapting to all examples at once.

    Added episodes form a new stage. Its steps start from the weights after the previous stage.
    """
    incoming = await receive(request, server.limits.body, server.large_bodies)
    form, client, bodies = schemas.MoreSupport, incoming.client, server.large_bodies
    body = incoming.decode(form) if incoming.is_small else await bodies.decode(incoming, form)
    adaptation = await in_time(client, server.changes.to_change(client.owner, id))
    model = server.models.of(adaptation)
    read, version = partial(read_addition, body, model, server.limits.support), version_of(body)
    at_once = incoming.is_small and not is_slow(model, body)
    try:
        support = read() if at_once else await bodies.read(incoming, read)
    except Invalid:
        check_version(model, version)  # OtherVersion comes first: that version may take the examples
        raise
    extended = await in_time(client, server.changes.extend(adaptation, support, client, client.key, version))
    cut = await server.adaptations.cut_examples(extended)
    return incoming.media.answer_codec.respond(adapt_response(extended, cut))


@router.delete(
    "/adaptations/{id}/support/{example}",
    summary="Delete one example",
    openapi_extra=header_docs(),
    responses=response_docs(
        "The adaptation to the other examples. If the inner loop diverges without the example, the example is deleted "
        "all the same, and `status` is `diverged` or `not_finite`.",
        examples.FORGOTTEN,
        200,
        (*(each for each in DERIVED if each is not Diverged), UnknownExample, LastExample, Invalid),
    ),
)
async def delete_example(
    id: Id,
    example: Annotated[
        int,
        Path(
            description="Number of the example; `GET /adaptations/{id}/support` lists them",
            ge=0,
            openapi_examples={"first": {"summary": "The first example", "value": 0}},
        ),
    ],
    server: State,
    client: RequestClient,
) -> Response:
    """Delete one example: erase it from every revision and from the store, and adapt again without it.

    `POST /adaptations/{id}/undo` does not restore it.
    """
    adaptation = await in_time(client, server.changes.to_change(client.owner, id))
    forgotten = await in_time(client, server.changes.forget(adaptation, example, client))
    return JSON.respond(change_response(forgotten, await server.adaptations.cut_examples(forgotten)))


@router.post(
    "/adaptations/{id}/undo",
    summary="Undo the last addition",
    openapi_extra=header_docs(key=True),
    responses=response_docs(
        "The adaptation without the examples that were added last.",
        examples.UNDONE,
        200,
        (*DERIVED, NothingToUndo, Invalid, KeyReused),
    ),
)
async def undo(id: Id, server: State, client: RequestClient) -> Response:
    """Remove the examples that were added last, and adapt again. Repeat it to remove earlier additions.

    Undo does not restore deleted examples: it removes the last addition that is left. `change` in the answer says what
    was removed.
    """
    adaptation = await in_time(client, server.changes.to_change(client.owner, id))
    undone = await in_time(client, server.changes.undo(adaptation, client, client.key))
    return JSON.respond(change_response(undone, await server.adaptations.cut_examples(undone)))


@router.get(
    "/adaptations/{id}/weights",
    summary="Download the adapted weights",
    response_class=Response,
    openapi_extra=header_docs()
    | {"responses": {"200": {"content": {"application/octet-stream": {"schema": _BINARY}}}}},
    responses=response_docs(
        "A safetensors file with all parameters, by their names in the network's `state_dict`.",
        None,
        200,
        (*DERIVED, Invalid),
    ),
)
async def get_weights(id: Id, server: State, client: RequestClient) -> Response:
    """Download the parameters of the adapted network as a safetensors file, to use them without this server.

    If the metadata of the file has `target_mean` and `target_std`, a prediction is `output * target_std + target_mean`.
    Both are JSON lists with a number for each target.
    """
    adaptation, parameters, scale = await in_time(client, server.adaptations.weights(client.owner, id, client))
    about = {"adaptation_id": id, "revision": str(adaptation.revision), "model_digest": adaptation.digest}
    if scale is not None:
        about |= {"target_mean": json.dumps(scale.mean), "target_std": json.dumps(scale.std)}
    headers = {"Content-Disposition": f'attachment; filename="{id}.safetensors"'}
    return server.large_bodies.hold(respond(save(parameters, about), 200, "application/octet-stream", headers))
