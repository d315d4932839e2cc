"""Adapting as a stream of events: each step's loss as it happens, then the result."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from fastapi.sse import EventSourceResponse, format_sse_event

from app.api import schemas
from app.api.codec import JSON
from app.api.connection import Client
from app.api.problems import problem
from app.api.responses import adapted
from app.errors import InnerloopError
from app.service.adaptations import Adaptations
from app.service.batcher import ClientDisconnected
from app.service.commands import AdaptCommand
from app.service.record import Adaptation


async def adapt_events(adaptations: Adaptations, wanted: AdaptCommand, client: Client) -> EventSourceResponse:
    """Events `step` (`schemas.Step`), and at last `result` (`schemas.AdaptResponse`) or `problem`.

    Whatever is refused before the first step is raised, and so answered as it is without events.
    """
    events = adaptations.stream(wanted, client)
    first = await anext(events)
    return EventSourceResponse(_told(first, events), headers={"Cache-Control": "no-cache"})


async def _told(event: float | Adaptation, later: AsyncGenerator[float | Adaptation]) -> AsyncIterator[bytes]:
    step = 0
    try:
        async with aclosing(later):
            while isinstance(event, float):
                yield _event("step", schemas.Step(step=step, loss=event))
                step, event = step + 1, await anext(later)
            yield _event("result", adapted(event))
    except ClientDisconnected:
        return
    except InnerloopError as error:
        yield _event("problem", problem(error))


def _event(name: str, data: schemas.Answer) -> bytes:
    return format_sse_event(data_str=JSON.encoder.encode(data).decode(), event=name)
