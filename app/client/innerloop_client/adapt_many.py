"""Many tasks: a line of NDJSON for each, some of them in one request."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, TypeGuard

from innerloop_client.adapt_request import AdaptBody, Task
from innerloop_client.arrays import extra
from innerloop_client.body_encoding import encode_line
from innerloop_client.errors import (
    ConnectionFailed,
    DeadlinePassed,
    InnerloopError,
    OtherVersion,
    Unauthorized,
    UnsupportedInput,
    reason,
    shown,
)
from innerloop_client.idempotency_key import MAX_KEY, key_of, new_key
from innerloop_client.model_versions import MAX_REPEATS, Described, Version, describe, described
from innerloop_client.retries import backoff_s
from innerloop_client.session import Session
from innerloop_client.task_lines import EncodedTask, Line, Outcome, send_lines

CHUNK = 64
"""Tasks that share a key, which the server tells apart by their lines. Another number changes what a key finds."""
CHUNK_BYTES = 4 * 2**20
"""Of the lines of a request, unless a single one has more."""
FIELDS = Task.__annotations__.keys() | {"model"}
KEY_ROOM = 15
"""What each chunk adds to the key of the user: "-" and a number."""


async def adapt_many(
    session: Session, tasks: Iterable[Mapping[str, Any]], key: str | None, progress: bool, timeout: float | None
) -> list[Outcome]:
    """Adapt to all tasks, in order. After an error that concerns all of them, no more requests are sent."""
    numbered = enumerate(_iterable(tasks))
    key = None if key is None else key_of(key, MAX_KEY - KEY_ROOM)
    many = _Many(session, key, timeout, may_change=not isinstance(tasks, Sequence))
    session.within(timeout)  # to refuse a wrong timeout
    with _progress(len(tasks) if isinstance(tasks, Sequence) else None, progress) as advance:
        while True:
            given: list[_Given] = []
            lines: list[Line] = []
            for index, task in islice(numbered, CHUNK):
                given.append(_Given(index, task))
                lines.append(await many.line(given[-1]))  # at once, as the next task may be in the same array
            if not given:
                break
            chunk_key, start = many.key(given[0].index), 0
            while start < len(lines):
                end = _end(lines, start)
                await many.send(given[start:end], lines[start:end], start, chunk_key)
                advance(end - start)
                start = end
    return many.outcomes


def _iterable(tasks: Any) -> Iterator[Any]:
    """An iterator over the tasks. Raises UnsupportedInput."""
    try:
        if not isinstance(tasks, Mapping | str | bytes) and not hasattr(tasks, "columns"):
            return iter(tasks)
        cause = None
    except TypeError as error:
        cause = error
    fix = ": make a list of it, with [task async for task in ...]" if hasattr(tasks, "__aiter__") else ""
    fix = ": send a list of mappings, such as its to_dict('records')" if hasattr(tasks, "columns") else fix
    raise UnsupportedInput(f"tasks: expected an iterable of mappings, got {type(tasks).__name__}{fix}") from cause


@dataclass
class _Given:
    """A task as the user has it."""

    index: int
    task: Any

    @cached_property
    def body(self) -> AdaptBody:
        """Its body for any version of the model. Raises UnsupportedInput, and any error of the user's values."""
        task = self.task
        if not isinstance(task, Mapping):
            raise UnsupportedInput(f"expected a mapping with model, x and y, got {type(task).__name__}")
        unknown = [name for name in task if name not in FIELDS]
        if unknown:
            raise UnsupportedInput(f"unknown {shown(unknown[0])}: a task has {', '.join(sorted(FIELDS))}")
        if "model" not in task:
            raise UnsupportedInput("model is missing")
        options = {name: value for name, value in task.items() if name not in ("model", "x", "y")}
        return AdaptBody(task["model"], task.get("x"), task.get("y"), options)

    async def line(self, models: Described) -> EncodedTask:
        """The task for the version that `models` describes. Raises what `body` raises."""
        body = await self.body.read(models)
        return EncodedTask(body["model"], encode_line(body), models.body)


class _Many:
    """The tasks until now.

    outcomes: of the tasks that are done
    gone: an error that concerns all that are left
    """

    def __init__(self, session: Session, key: str | None, timeout: float | None, *, may_change: bool) -> None:
        """may_change: whether a task may be another by now, as that of a generator that uses one array for all"""
        self._session, self._key, self._timeout, self._may_change = session, key, timeout, may_change
        self.outcomes: list[Outcome] = []
        self.gone: InnerloopError | None = None

    async def line(self, given: _Given, version: Version | None = None) -> Line:
        """A task as a line, or the error that it cannot be one."""
        if self.gone is not None:
            return self.gone
        try:
            return await described(self._session.within(self._timeout), given.line, version or Version())
        except UnsupportedInput as error:
            return UnsupportedInput(f"tasks[{given.index}]: {error}")
        except InnerloopError as error:  # of asking about the model
            self.gone = error if isinstance(error, ConnectionFailed | DeadlinePassed | Unauthorized) else None
            return error
        except Exception as error:  # noqa: BLE001  of objects of the user, which may raise anything: the others go on
            failure = UnsupportedInput(f"tasks[{given.index}]: cannot be read ({reason(error)})")
            failure.__cause__ = error
            return failure

    def key(self, index: int) -> str:
        """The Idempotency-Key of a chunk. index: of its first task"""
        return f"{self._key}-{index}" if self._key else new_key()

    async def send(self, given: Sequence[_Given], lines: Sequence[Line], start: int, key: str) -> None:
        """Send lines of a chunk, unless it is in vain.

        given: the same as tasks; start: how many lines of the chunk come before; key: its key
        """
        for repeat in range(MAX_REPEATS):
            if self.gone is not None:
                results: list[Outcome] = [self.gone if isinstance(line, EncodedTask) else line for line in lines]
                break
            results = await send_lines(self._session.within(self._timeout), lines, start, key)
            self.gone = next((each for each in results if _concerns_all(each)), None)
            if not any(isinstance(each, OtherVersion) for each in results):
                break
            await self._session.transport.sleep(backoff_s(repeat) if repeat else 0)
            lines = [await self._again(*each) for each in zip(given, lines, results, strict=True)]
        self.outcomes += results

    async def _again(self, given: _Given, line: Line, result: Outcome) -> Line:
        """The line for a task that another version of its model answers; for any other, what has become of it."""
        if not isinstance(result, OtherVersion) or not isinstance(line, EncodedTask):
            return result
        self._session.models.forget_current()
        try:
            new = await describe(self._session.within(self._timeout), line.model, result.digest)
        except InnerloopError:  # that version is gone as well
            return result
        if (same := line.for_version(new)) is not None:
            return same
        if not self._may_change:
            return await self.line(given, Version(result.digest))
        fix = "its columns have other names or another order, so adapt to this task again"
        return OtherVersion({**result.problem, "detail": f"{line.model} was replaced meanwhile: {fix}", "place": ""})


def _concerns_all(outcome: Outcome) -> TypeGuard[InnerloopError]:
    """Whether all tasks that are left fail too. A deadline that the server says passed for this task alone."""
    is_silent = isinstance(outcome, DeadlinePassed) and outcome.is_silent
    return is_silent or isinstance(outcome, ConnectionFailed | Unauthorized)


def _end(lines: Sequence[Line], start: int) -> int:
    """Where the next request ends: before the lines have more than CHUNK_BYTES."""
    size = 0
    for end in range(start, len(lines)):
        line = lines[end]
        size += len(line.line) if isinstance(line, EncodedTask) else 0
        if size > CHUNK_BYTES and end > start:
            return end
    return len(lines)


@contextmanager
def _progress(total: int | None, shown: bool) -> Iterator[Callable[[int], None]]:
    """A function that says how many more tasks are done, to a progress bar of rich if it is to be shown."""
    if not shown:
        yield lambda count: None
        return
    with extra("rich.progress", "rich", "notebook", "progress").Progress() as bar:
        task = bar.add_task("Adapting", total=total)
        yield lambda count: bar.update(task, advance=count)
