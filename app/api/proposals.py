"""The route of POST /propose."""

from functools import partial

from fastapi import APIRouter, Request, Response

from app.api import openapi_examples as examples
from app.api import schemas
from app.api.codec import JSON, MSGPACK, NDJSON
from app.api.dependencies import ServerState, State
from app.api.inference import BODY, DERIVED, resolve
from app.api.ndjson import answer_lines
from app.api.openapi import ADAPT_AND_PREDICT, request_docs, response_docs
from app.api.parse_commands import check_source_fields, propose_command
from app.api.requests import IncomingRequest, receive
from app.api.responses import propose_response
from app.api.support import is_slow
from app.service.deadlines import in_time

router = APIRouter(tags=[ADAPT_AND_PREDICT])


@router.post(
    "/propose",
    summary="Propose what to measure next",
    openapi_extra=request_docs(schemas.ProposeRequest, examples.PROPOSE, ndjson=True),
    responses=response_docs(
        "The proposals, in the order in which to measure them.",
        examples.PROPOSED,
        200,
        (*BODY, *DERIVED),
        (JSON.media, MSGPACK.media, NDJSON),
    ),
)
async def propose(request: Request, server: State) -> Response:
    """Propose which of many candidates to measure or label next. Nothing is stored.

    The first proposal is the best. Each further one is chosen as if those before had been measured, so that they do not
    all say the same. Send `Content-Type: application/x-ndjson` to send one request on each line, or `text/csv` to send
    candidates as a CSV.
    """
    incoming = await receive(request, server.limits.body, server.large_bodies, ndjson=True)
    if incoming.media.ndjson:
        return answer_lines(incoming, partial(_proposed, server=server), server.limits.lines, server.large_bodies)
    return incoming.media.answer_codec.respond(await _proposed(incoming, server))


async def _proposed(incoming: IncomingRequest, server: ServerState) -> schemas.ProposeResponse:
    form, client, bodies = schemas.ProposeRequest, incoming.client, server.large_bodies
    small = incoming.is_small
    body = incoming.decode(form) if small else await bodies.decode(incoming, form)
    check_source_fields(body)
    adaptation, model = await in_time(client, resolve(body, server, client))
    inputs = body, model, adaptation, server.limits, client.owner
    if small and not is_slow(model, body.support, body.candidates, encodes_at_once=True):
        command = propose_command(*inputs)
    else:
        command = await bodies.read(incoming, partial(propose_command, *inputs))
    return propose_response(await in_time(client, server.proposals.propose(command, client)))
