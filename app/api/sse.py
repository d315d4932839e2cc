"""Adapting as server-sent events: each step's loss as it happens, then the result."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.types import Receive, Scope, Send

from app.api import schemas
from app.api.codec import JSON
from app.api.error_responses import problem
from app.api.responses import adapt_response, round_loss
from app.errors import InnerloopError
from app.service.deadlines import Caller, ClientDisconnected, in_time
from app.service.record import Adaptation

STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
"""Proxies such as nginx otherwise hold events back until they fill a buffer."""

CutExamples = Callable[[Adaptation], Awaitable[Sequence[int]]]


class _Events(EventSourceResponse):
    """A response that closes its steps when it ends, also where the client has left before the first event.

    Otherwise they would be closed when Python collects them, and repeats of the request would wait until then.
    """

    def __init__(self, events: AsyncGenerator[bytes], steps: AsyncGenerator[float | Adaptation]) -> None:
        super().__init__(events, headers=STREAM_HEADERS)
        self._events, self._steps = events, steps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._steps), aclosing(self._events):
            await super().__call__(scope, receive, send)


async def adapt_events(
    steps: AsyncGenerator[float | Adaptation], client: Caller, cut: CutExamples
) -> EventSourceResponse:
    """Events `step` (`schemas.Step`), and last `result` (`schemas.AdaptResponse`) or `problem`.

    steps: as from `Adaptations.stream`. What it raises before the first step is raised here, and so answered as it
        would be without events.
    cut: the numbers of the examples of which only the beginning is encoded
    """
    first = await in_time(client, anext(steps))
    return _Events(_events(first, steps, cut), steps)


async def _events(
    event: float | Adaptation, later: AsyncGenerator[float | Adaptation], cut: CutExamples
) -> AsyncGenerator[bytes]:
    step = 0
    try:
        while isinstance(event, float):
            yield _event("step", schemas.Step(step=step, loss=round_loss(event)))
            step, event = step + 1, await anext(later)
        yield _event("result", adapt_response(event, await cut(event)))
    except ClientDisconnected:
        return
    except InnerloopError as error:
        yield _event("problem", problem(error))


def _event(name: str, data: schemas.ResponseBody) -> bytes:
    return format_sse_event(data_str=JSON.encoder.encode(data).decode(), event=name)
