"""Many requests in one: application/x-ndjson, a body a line, an answer a line, in order."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from itertools import islice

from fastapi.responses import StreamingResponse

from app.api import schemas
from app.api.codec import JSON, NDJSON
from app.api.problems import problem
from app.api.requests import Sent
from app.errors import InnerloopError

log = logging.getLogger(__name__)
Line = Callable[[Sent], Awaitable[schemas.Answer]]
"""Answers one line."""


def answer_lines(sent: Sent, line: Line, at_once: int) -> StreamingResponse:
    """Answer each line of a body as if it had come alone; a bad one is answered in its place by a problem document.

    at_once: how many are under way; the others wait here and not in the queue, where others would have no room
    """
    return StreamingResponse(_answers(sent, line, at_once), HTTPStatus.OK, media_type=NDJSON)


async def _answers(sent: Sent, line: Line, at_once: int) -> AsyncIterator[bytes]:
    lines = enumerate(each for each in sent.body.split(b"\n") if each.strip())
    while some := list(islice(lines, at_once)):
        answers = await asyncio.gather(*(line(_alone(sent, *each)) for each in some), return_exceptions=True)
        yield b"".join(JSON.encoder.encode(_told(answer)) + b"\n" for answer in answers)


def _alone(sent: Sent, index: int, body: bytes) -> Sent:
    """A line as a request of its own; repeats of the whole are recognised line by line."""
    return sent._replace(body=body, client=sent.client.numbered(index))


def _told(answer: schemas.Answer | BaseException) -> schemas.Answer:
    if not isinstance(answer, BaseException):
        return answer
    if not isinstance(answer, Exception):
        raise answer
    if not isinstance(answer, InnerloopError):
        log.error("a line failed", exc_info=answer)
    return problem(answer)
