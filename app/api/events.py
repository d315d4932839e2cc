"""Adapting as a stream of events: each step's loss as it happens, then the result."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from fastapi.sse import EventSourceResponse, format_sse_event

from app import schemas
from app.api.codec import JSON
from app.api.problems import problem
from app.api.views import adapted
from app.errors import InnerloopError
from app.service.adaptations import Adaptations, Wanted


def adapt_events(adaptations: Adaptations, wanted: Wanted) -> EventSourceResponse:
    """Events `step` (`schemas.Step`), and at last `result` (`schemas.AdaptResponse`) or `problem`."""
    return EventSourceResponse(_events(adaptations, wanted), headers={"Cache-Control": "no-cache"})


async def _events(adaptations: Adaptations, wanted: Wanted) -> AsyncIterator[bytes]:
    step = 0
    try:
        async with aclosing(adaptations.stream(wanted)) as events:
            async for event in events:
                if isinstance(event, float):
                    yield _event("step", schemas.Step(step=step, loss=event))
                    step += 1
                else:
                    yield _event("result", adapted(event))
    except InnerloopError as error:
        yield _event("problem", problem(error))


def _event(name: str, data: schemas.Answer) -> bytes:
    return format_sse_event(data_str=JSON.encoder.encode(data).decode(), event=name)
