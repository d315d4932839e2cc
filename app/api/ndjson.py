"""Many requests in one: application/x-ndjson, a body a line, an answer a line, in order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from itertools import islice

from fastapi.responses import StreamingResponse

from app.api import schemas
from app.api.codec import JSON, NDJSON
from app.api.problems import problem
from app.api.requests import IncomingRequest

AnswerLine = Callable[[IncomingRequest], Awaitable[schemas.ResponseBody]]
"""Answers one line, as a request of its own."""


def answer_lines(request: IncomingRequest, answer: AnswerLine, at_once: int) -> StreamingResponse:
    """Answer each line of a body as if it had come alone. The answer to a bad line is a problem document.

    at_once: lines under way; the others wait here, where they take no room in the queue from other requests
    """
    return StreamingResponse(_answers(request, answer, at_once), HTTPStatus.OK, media_type=NDJSON)


async def _answers(request: IncomingRequest, answer: AnswerLine, at_once: int) -> AsyncIterator[bytes]:
    lines = enumerate(line for line in request.body.split(b"\n") if line.strip())
    while batch := list(islice(lines, at_once)):
        answers = await asyncio.gather(
            *(answer(_line_request(request, *line)) for line in batch), return_exceptions=True
        )
        yield b"".join(JSON.encoder.encode(_response_body(each)) + b"\n" for each in answers)


def _line_request(request: IncomingRequest, index: int, line: bytes) -> IncomingRequest:
    """A line as a request of its own. A repeat of the whole body is recognised line by line."""
    return request._replace(body=line, client=request.client.for_line(index))


def _response_body(answer: schemas.ResponseBody | BaseException) -> schemas.ResponseBody:
    if not isinstance(answer, BaseException):
        return answer
    if not isinstance(answer, Exception):
        raise answer
    return problem(answer)
