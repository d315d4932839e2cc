"""Many tasks: a line of NDJSON for each, some of them in one request."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, NamedTuple

import httpx

from innerloop_client.adapt_request import Task, adapt_body
from innerloop_client.arrays import extra
from innerloop_client.body_encoding import JSON, NDJSON, decode, encode_line
from innerloop_client.descriptions import Models
from innerloop_client.errors import (
    ConnectionFailed,
    DeadlinePassed,
    InnerloopError,
    Unauthorized,
    UnsupportedInput,
    is_problem,
    reason,
    server_error,
)
from innerloop_client.idempotency_key import MAX_KEY, key_of, new_key
from innerloop_client.responses import content, foreign
from innerloop_client.retries import RETRIED, Attempts
from innerloop_client.session import Call, Session

CHUNK = 64
"""Tasks in one request."""
CHUNK_BYTES = 4 * 2**20
"""Of the lines of a request, unless a single one has more."""
FIELDS = Task.__annotations__.keys() | {"model"}
KEY_ROOM = 15
"""What each request adds to the key of the user: "-" and a number."""
Outcome = Mapping[str, Any] | InnerloopError
"""What became of a task: the body of the adaptation, or an error."""


class EncodedTask(NamedTuple):
    """A task as it is sent."""

    model: str
    line: bytes


Line = EncodedTask | InnerloopError
"""A task as it is sent, or why it cannot be."""


async def adapt_many(
    session: Session, tasks: Iterable[Mapping[str, Any]], key: str | None, progress: bool, timeout: float | None
) -> list[Outcome]:
    """Adapt to all tasks, in order. After an error that concerns all of them, no more requests are sent."""
    numbered = enumerate(_iterable(tasks))
    many = _Many(session, None if key is None else key_of(key, MAX_KEY - KEY_ROOM), timeout)
    session.within(timeout)  # to refuse a wrong timeout
    with _progress(len(tasks) if isinstance(tasks, Sequence) else None, progress) as advance:
        while chunk := list(islice(numbered, CHUNK)):
            lines = [await many.line(index, task) for index, task in chunk]
            start = 0
            while start < len(lines):
                end = _end(lines, start)
                await many.send(lines[start:end])
                advance(end - start)
                start = end
    return many.outcomes


def _iterable(tasks: Any) -> Iterator[Any]:
    """An iterator over the tasks. Raises UnsupportedInput."""
    try:
        if not isinstance(tasks, Mapping | str | bytes):
            return iter(tasks)
        cause = None
    except TypeError as error:
        cause = error
    raise UnsupportedInput(f"tasks: expected an iterable of mappings, got {type(tasks).__name__}") from cause


class _Many:
    """The tasks until now.

    outcomes: of the tasks that are done
    gone: an error that concerns all that are left
    """

    def __init__(self, session: Session, key: str | None, timeout: float | None) -> None:
        self._session, self._key, self._timeout = session, key, timeout
        self.outcomes: list[Outcome] = []
        self.gone: InnerloopError | None = None

    async def line(self, index: int, task: Any) -> Line:
        """A task as a line, or the error that it cannot be one."""
        if self.gone is not None:
            return self.gone
        try:
            body = await _body(self, task)
            return EncodedTask(body["model"], encode_line(body))
        except UnsupportedInput as error:
            return UnsupportedInput(f"tasks[{index}]: {error}")
        except InnerloopError as error:
            return error
        except Exception as error:  # noqa: BLE001  of objects of the user, which may raise anything: the others go on
            failure = UnsupportedInput(f"tasks[{index}]: cannot be read ({reason(error)})")
            failure.__cause__ = error
            return failure

    async def model(self, name: str) -> Mapping[str, Any]:
        """What the server says of a model. An error that concerns all tasks is kept."""
        try:
            return await self._session.within(self._timeout).model(name)
        except (ConnectionFailed, DeadlinePassed, Unauthorized) as error:
            self.gone = error
            raise

    async def send(self, lines: Sequence[Line]) -> None:
        """Send lines, unless it is in vain."""
        key = f"{self._key}-{len(self.outcomes)}" if self._key else new_key()
        if self.gone is None:
            results = await _send(self._session.within(self._timeout), lines, key)
            self.gone = next((each for each in results if isinstance(each, ConnectionFailed | Unauthorized)), None)
        else:
            results = [line if isinstance(line, InnerloopError) else self.gone for line in lines]
        self.outcomes += results


async def _body(models: Models, task: Any) -> dict[str, Any]:
    """The body of a task. Raises UnsupportedInput, the errors of asking about a model, and any of the user's values."""
    if not isinstance(task, Mapping):
        raise UnsupportedInput(f"expected a mapping with model, x and y, got {type(task).__name__}")
    unknown = [name for name in task if name not in FIELDS]
    if unknown:
        raise UnsupportedInput(f"unknown {unknown[0]!r}: a task has {', '.join(sorted(FIELDS))}")
    if "model" not in task:
        raise UnsupportedInput("model is missing")
    options = {name: value for name, value in task.items() if name not in ("model", "x", "y")}
    return await adapt_body(models, task["model"], task.get("x"), task.get("y"), options)


def _end(lines: Sequence[Line], start: int) -> int:
    """Where the next request ends: before the lines have more than CHUNK_BYTES."""
    size = 0
    for end in range(start, len(lines)):
        line = lines[end]
        size += len(line.line) if isinstance(line, EncodedTask) else 0
        if size > CHUNK_BYTES and end > start:
            return end
    return len(lines)


async def _send(session: Session, lines: Sequence[Line], key: str) -> list[Outcome]:
    """Send lines until none of them has an answer that may change. The key tells the server which are done."""
    good = [line for line in lines if isinstance(line, EncodedTask)]
    if not good:
        return [line for line in lines if isinstance(line, InnerloopError)]
    call = Call("POST", "/adapt", b"\n".join(each.line for each in good), NDJSON, key=key)
    attempts = session.attempts()
    done: list[Outcome] = [ConnectionFailed("not sent")] * len(good)
    while True:
        answers = await _answers(session, call, [each.model for each in good], attempts)
        done = [old if isinstance(old, Mapping) else new for old, new in zip(done, answers, strict=True)]
        wait = attempts.wait_s() if any(map(_may_change, done)) else None
        if wait is None:
            rest = iter(done)
            return [next(rest) if isinstance(line, EncodedTask) else line for line in lines]
        await session.transport.sleep(wait)


def _may_change(outcome: Outcome) -> bool:
    """Whether another attempt may have another outcome."""
    return isinstance(outcome, ConnectionFailed) or getattr(outcome, "status", 0) in RETRIED


async def _answers(session: Session, call: Call, models: Sequence[str], attempts: Attempts) -> list[Outcome]:
    """An answer for each line, whose models these are. An error of the whole request is the answer to all of them."""
    count = len(models)
    try:
        response = (await session.repeat(call, attempts)).response
        lines = content(response, NDJSON).splitlines()
    except InnerloopError as error:
        return [error] * count
    if len(lines) > count:
        return [foreign(response)] * count
    missing = ConnectionFailed(f"{response.url}: the answer broke off after {len(lines)} of {count} tasks: try again")
    answers = [_outcome(line, model, response) for line, model in zip(lines, models, strict=False)]
    return [*answers, *[missing] * (count - len(answers))]


def _outcome(line: bytes, model: str, response: httpx.Response) -> Outcome:
    """What a line of an answer says of a task for this model."""
    try:
        body = decode(line, JSON)
    except (RecursionError, ValueError):
        return ConnectionFailed(f"{response.url}: the answer broke off within a task: try again")
    if isinstance(body, Mapping) and "adaptation_id" in body and body.get("model") == model:
        return body
    return server_error(body) if is_problem(body) else foreign(response)


@contextmanager
def _progress(total: int | None, shown: bool) -> Iterator[Callable[[int], None]]:
    """A function that says how many more tasks are done, to a progress bar of rich if it is to be shown."""
    if not shown:
        yield lambda count: None
        return
    with extra("rich.progress", "rich", "notebook", "progress").Progress() as bar:
        task = bar.add_task("Adapting", total=total)
        yield lambda count: bar.update(task, advance=count)
