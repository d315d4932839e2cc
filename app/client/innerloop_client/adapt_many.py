"""Many tasks: a line of NDJSON for each, some of them in one request."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from innerloop_client.adapt_request import Task, adapt_body
from innerloop_client.arrays import extra
from innerloop_client.body_encoding import NDJSON, encode_line
from innerloop_client.errors import (
    ConnectionFailed,
    InnerloopError,
    Unauthorized,
    UnsupportedInput,
    server_error,
)
from innerloop_client.idempotency_key import new_key
from innerloop_client.retries import RETRIED, Attempts
from innerloop_client.session import Call, Session, answer, foreign

CHUNK = 64
"""Tasks in one request."""
CHUNK_BYTES = 4 * 2**20
"""Of the lines of a request, unless a single one has more."""
FIELDS = Task.__annotations__.keys() | {"model"}
Outcome = Mapping[str, Any] | InnerloopError
"""What became of a task: the body of the adaptation, or an error."""


async def adapt_many(
    session: Session, tasks: Iterable[Mapping[str, Any]], key: str | None, progress: bool, timeout: float | None
) -> list[Outcome]:
    """Adapt to all tasks, in order. After an error that concerns all of them, no more requests are sent."""
    outcomes: list[Outcome] = []
    total = len(tasks) if isinstance(tasks, Sequence) else None
    numbered = enumerate(tasks)
    with _progress(total, progress) as advance:
        while chunk := list(islice(numbered, CHUNK)):
            lines = [await _line(session, index, task) for index, task in chunk]
            start = 0
            while start < len(lines):
                end = _end(lines, start)
                last = outcomes[-1] if outcomes else None
                if isinstance(last, ConnectionFailed | Unauthorized):
                    results: list[Outcome] = [last] * (end - start)
                else:
                    chunk_key = f"{key}-{len(outcomes)}" if key else new_key()
                    results = await _send(session, lines[start:end], chunk_key, timeout)
                outcomes += results
                advance(end - start)
                start = end
    return outcomes


async def _line(session: Session, index: int, task: Mapping[str, Any]) -> bytes | InnerloopError:
    unknown = [name for name in task if name not in FIELDS]
    if unknown:
        return UnsupportedInput(f"tasks[{index}]: unknown {unknown[0]!r}: a task has {', '.join(sorted(FIELDS))}")
    if "model" not in task:
        return UnsupportedInput(f"tasks[{index}]: model is missing")
    options = {name: value for name, value in task.items() if name not in ("model", "x", "y")}
    try:
        return encode_line(await adapt_body(session, task["model"], task.get("x"), task.get("y"), options))
    except UnsupportedInput as error:
        return UnsupportedInput(f"tasks[{index}]: {error}")


def _end(lines: Sequence[bytes | InnerloopError], start: int) -> int:
    """Where the next request ends: before the lines have more than CHUNK_BYTES."""
    size = 0
    for end in range(start, len(lines)):
        line = lines[end]
        size += len(line) if isinstance(line, bytes) else 0
        if size > CHUNK_BYTES and end > start:
            return end
    return len(lines)


async def _send(
    session: Session, lines: Sequence[bytes | InnerloopError], key: str, timeout: float | None
) -> list[Outcome]:
    """Send lines until none of them has an answer that may change. The key tells the server which are done."""
    good = [line for line in lines if isinstance(line, bytes)]
    if not good:
        return [line for line in lines if isinstance(line, InnerloopError)]
    call = Call("POST", "/adapt", b"\n".join(good), NDJSON, key=key)
    attempts = session.attempts(timeout)
    while True:
        answers = iter(await _answers(session, call, len(good), attempts))
        outcomes = [next(answers) if isinstance(line, bytes) else line for line in lines]
        busy = any(getattr(each, "status", 0) in RETRIED for each in outcomes)
        wait = attempts.wait_s() if busy else None
        if wait is None:
            return outcomes
        await session.transport.sleep(wait)


async def _answers(session: Session, call: Call, count: int, attempts: Attempts) -> list[Outcome]:
    """An answer for each line. An error of the whole request is the answer to all of them."""
    try:
        response = (await session.repeat(call, attempts)).response
        if response.is_error:
            answer(response)
        bodies = [json.loads(line) for line in response.content.splitlines()]
    except ValueError as error:
        raise foreign(response) from error
    except InnerloopError as error:
        return [error] * count
    if len(bodies) != count:
        return [ConnectionFailed(f"{response.url} answered {len(bodies)} of {count} tasks: try again")] * count
    return [body if "adaptation_id" in body else server_error(body) for body in bodies]


@contextmanager
def _progress(total: int | None, shown: bool) -> Iterator[Callable[[int], None]]:
    """A function that says how many more tasks are done, to a progress bar of rich if it is to be shown."""
    if not shown:
        yield lambda count: None
        return
    with extra("rich.progress", "rich", "notebook", "progress").Progress() as bar:
        task = bar.add_task("Adapting", total=total)
        yield lambda count: bar.update(task, advance=count)
