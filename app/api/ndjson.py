"""Many requests in one: application/x-ndjson, a body a line, an answer a line, in order."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from http import HTTPStatus

from fastapi.responses import StreamingResponse

from app.api import schemas
from app.api.codec import JSON, NDJSON
from app.api.error_responses import problem
from app.api.large_bodies import LargeBodies
from app.api.requests import IncomingRequest
from app.api.sse import STREAM_HEADERS

MAX_BYTES = 64 * 2**10
"""Of the lines that are under way at once, unless a single line has more."""
LINE = re.compile(rb"\S[^\n]*")
"""A line that is not empty."""
AnswerLine = Callable[[IncomingRequest], Awaitable[schemas.ResponseBody]]
"""Answers one line, as a request of its own."""


def answer_lines(
    request: IncomingRequest, answer: AnswerLine, at_once: int, large_bodies: LargeBodies
) -> StreamingResponse:
    """Answer each line of a body as if it had come alone. The answer to a bad line is a problem document.

    at_once: lines under way; the others wait here, where they take no room in the queue from other requests. Lines that
        are long together are not under way at once, as their answers may be long too
    """
    answers = _answers(request, answer, at_once, large_bodies)
    return StreamingResponse(answers, HTTPStatus.OK, STREAM_HEADERS, NDJSON)


async def _answers(
    request: IncomingRequest, answer: AnswerLine, at_once: int, large_bodies: LargeBodies
) -> AsyncIterator[bytes]:
    for batch in _batches(request.body, at_once):
        answers = await asyncio.gather(
            *(answer(_line_request(request, *line)) for line in batch), return_exceptions=True
        )
        lines = [await large_bodies.write(_response_body(each), JSON.encoder.encode) for each in answers]
        yield b"\n".join([*lines, b""])


def _batches(body: bytes, at_once: int) -> Iterator[list[tuple[int, bytes]]]:
    """The lines that are not empty with their numbers, several at a time."""
    batch: list[tuple[int, bytes]] = []
    size = 0
    for numbered in enumerate(match[0] for match in LINE.finditer(body)):
        if batch and (len(batch) == at_once or size + len(numbered[1]) > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(numbered)
        size += len(numbered[1])
    if batch:
        yield batch


def _line_request(request: IncomingRequest, index: int, line: bytes) -> IncomingRequest:
    """A line as a request of its own. A repeat of the whole body is recognised line by line."""
    return request._replace(body=line, client=request.client.for_line(index))


def _response_body(answer: schemas.ResponseBody | BaseException) -> schemas.ResponseBody:
    if not isinstance(answer, BaseException):
        return answer
    if not isinstance(answer, Exception):
        raise answer
    return problem(answer)
