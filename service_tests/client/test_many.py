"""Many tasks in few requests."""

import asyncio
import json
import operator
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import numpy as np
import pandas
import pytest

from innerloop_client import (
    Adaptation,
    AsyncClient,
    Client,
    ConnectionFailed,
    DeadlinePassed,
    InnerloopError,
    InvalidRequest,
    NotFound,
    ServerError,
    Task,
    UnexpectedAnswer,
    UnsupportedInput,
    adapt_many,
)
from innerloop_client.body_encoding import NDJSON
from service_tests.api.requests import QUERIES, WAVE
from service_tests.client.answering import ADAPTED, Answering, answer
from service_tests.client.flaky import Flaky

X, Y = WAVE["inputs"], WAVE["targets"]


def tasks(count: int) -> Iterator[Task]:
    """Sine waves of many amplitudes, some as arrays."""
    for index in range(count):
        y = np.array(Y) * (index + 1) / count
        yield {"model": "sinusoid", "x": np.array(X), "y": y if index % 2 else y.tolist(), "label": f"pump {index}"}


def test_they_come_back_in_order(innerloop: Client) -> None:
    adapted = innerloop.adapt_many(tasks(150))
    assert [each.label for each in adapted if isinstance(each, Adaptation)] == [f"pump {n}" for n in range(150)]
    last = adapted[-1]
    assert isinstance(last, Adaptation)
    assert last.predict(QUERIES) == pytest.approx(innerloop.adapt("sinusoid", X, Y).predict(QUERIES), abs=1e-5)
    assert innerloop.adapt_many([]) == []


def test_awaited(url: str) -> None:
    async def run() -> list[Any]:
        async with AsyncClient(url) as innerloop:
            return [type(each).__name__ for each in await innerloop.adapt_many(tasks(3))]

    assert asyncio.run(run()) == ["AsyncAdaptation"] * 3


def test_a_bad_task_has_its_error_in_its_place(innerloop: Client) -> None:
    good: Any = {"model": "sinusoid", "x": X, "y": Y}
    mixed = [good, good | {"y": [1]}, good | {"x": object()}, good, good | {"stpes": 3}, good | {"model": "sine"}, {}]
    results = innerloop.adapt_many(mixed)
    kinds = [Adaptation, InvalidRequest, UnsupportedInput, Adaptation, UnsupportedInput, NotFound, UnsupportedInput]
    assert [type(each) for each in results] == kinds
    assert str(results[1]).startswith("support: expected as many inputs as targets")
    assert str(results[2]) == "tasks[2]: x: expected a list or an array, got object: put a single value into a list"
    assert str(results[4]).startswith("tasks[4]: unknown 'stpes': a task has")
    assert str(results[6]) == "tasks[6]: model is missing"


def test_large_tasks_go_in_more_requests(flaky_client: Client, flaky: Flaky, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapt_many, "CHUNK_BYTES", 1000)
    assert all(isinstance(each, Adaptation) for each in flaky_client.adapt_many(tasks(20)))
    assert 3 < len(flaky.requests) < 20


@pytest.mark.parametrize("faults", [("busy",), ("lost",), ("lost", "busy", "lost")])
def test_each_adaptation_is_made_once(flaky_client: Client, flaky: Flaky, faults: tuple[str, ...]) -> None:
    flaky.spoil(*faults)
    adapted = flaky_client.adapt_many(tasks(100))
    ids = [each.id for each in adapted if isinstance(each, Adaptation)]
    assert sorted(ids) == sorted(each.id for each in flaky_client.adaptations())
    assert len(set(ids)) == 100


def test_a_line_that_the_server_was_too_busy_for_is_sent_again(flaky_client: Client, flaky: Flaky) -> None:
    flaky.spoil("busy line")
    adapted = flaky_client.adapt_many(tasks(5))
    assert all(isinstance(each, Adaptation) for each in adapted)
    assert len(list(flaky_client.adaptations())) == 5


def test_an_object_that_raises_fails_in_its_place(innerloop: Client) -> None:
    class Lazy:
        def __array__(self) -> None:
            raise KeyError("gone")

    good: Task = {"model": "sinusoid", "x": [[1], [2]], "y": [1, 2]}
    lazy = (1 / 0 for _ in [1])
    first, bad, other, last = innerloop.adapt_many(
        [good, {"model": "sinusoid", "x": Lazy(), "y": [1]}, {"model": "sinusoid", "x": lazy, "y": [1]}, good]
    )
    assert isinstance(first, Adaptation)
    assert isinstance(last, Adaptation)
    assert isinstance(bad, UnsupportedInput)
    assert str(bad) == "tasks[1]: x: cannot read the Lazy (KeyError: 'gone')"
    assert str(other) == "tasks[2]: cannot be read (ZeroDivisionError: division by zero)"


def test_an_error_without_a_text_fails_in_its_place(innerloop: Client) -> None:
    class Untold:
        def __str__(self) -> str:
            raise RuntimeError

        def __array__(self) -> None:
            raise SyntaxError(Untold())

        def __index__(self) -> int:
            raise SyntaxError(Untold())

    task: Task = {"model": "sinusoid", "x": Untold(), "y": [1]}
    array, generator = innerloop.adapt_many([task, task | {"x": (operator.index(Untold()) for _ in [1])}])
    assert str(array) == "tasks[0]: x: cannot read the Untold (SyntaxError)"
    assert str(generator) == "tasks[1]: cannot be read (SyntaxError)"


def test_a_key_finds_the_adaptations_again(innerloop: Client) -> None:
    first, again = (innerloop.adapt_many(tasks(70), idempotency_key="monday") for _ in range(2))
    assert [each.id for each in first if isinstance(each, Adaptation)] == [
        each.id for each in again if isinstance(each, Adaptation)
    ]


@pytest.mark.parametrize("size", [adapt_many.CHUNK_BYTES, 1000])
def test_a_key_belongs_to_the_number_of_a_task(innerloop: Client, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Whichever tasks failed before, and however their lines were split into requests."""
    missing: dict[int, Task] = {each: {"model": "sinusoid", "x": object(), "y": Y} for each in (0, 5, 6, 69)}
    monkeypatch.setattr(adapt_many, "CHUNK_BYTES", size)
    first = innerloop.adapt_many(
        [missing.get(number, task) for number, task in enumerate(tasks(70))], idempotency_key="monday"
    )
    monkeypatch.setattr(adapt_many, "CHUNK_BYTES", 3000)
    again = innerloop.adapt_many(tasks(70), idempotency_key="monday")
    assert [number for number, each in enumerate(first) if isinstance(each, UnsupportedInput)] == list(missing)
    ids = [each.id for each in again if isinstance(each, Adaptation)]
    assert len(set(ids)) == 70
    assert [each.id for each in first if isinstance(each, Adaptation)] == [
        each for number, each in enumerate(ids) if number not in missing
    ]
    assert [each.label for each in again if isinstance(each, Adaptation)] == [f"pump {n}" for n in range(70)]
    assert len(list(innerloop.adaptations())) == 70


def test_without_a_server_every_task_has_the_error(flaky_url: str, flaky: Flaky) -> None:
    with Client(flaky_url, retries=1) as innerloop:
        flaky.spoil(*["lost"] * 10)
        results = innerloop.adapt_many(tasks(200))
    assert [type(each) for each in results] == [ConnectionFailed] * 200
    assert len(flaky.requests) == 2, "the first chunk twice, and no other"


def test_progress_is_shown_on_request(innerloop: Client, capsys: pytest.CaptureFixture[str]) -> None:
    innerloop.adapt_many(list(tasks(3)), progress=True)
    assert "Adapting" in capsys.readouterr().out
    innerloop.adapt_many(list(tasks(3)))
    assert capsys.readouterr().out == ""


GOOD: Any = {"model": "sinusoid", "x": X, "y": Y}


class Raising:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def __array__(self, *options: object) -> None:
        raise self._error


class Unseekable:
    def read(self) -> bytes:
        return b""


@pytest.mark.parametrize(
    "bad",
    [
        None,
        ("sinusoid", X, Y),
        "sinusoid",
        {1: 2},
        GOOD | {"model": None},
        GOOD | {"model": "sine", "x": pandas.DataFrame(X)},
        GOOD | {"x": [{(1, 2): 1}]},
        GOOD | {"x": Raising(ValueError("no array"))},
        GOOD | {"x": Raising(OSError("the file is gone"))},
        GOOD | {"x": [Unseekable()]},
        GOOD | {"x": list(os.scandir(b"/"))[:1]},
        GOOD | {"steps": 10**5000},
        GOOD | {"label": object()},
        GOOD | {"x": Raising(ConnectionFailed("not the server"))},
        GOOD | {"x": [{10**5000: 1}]},
        GOOD | {"x": [[float("nan")]], "y": [1]},
    ],
    ids=range(16),
)
def test_no_task_makes_others_fail(innerloop: Client, bad: Any) -> None:
    results = innerloop.adapt_many([*[GOOD] * 64, bad, GOOD])
    assert isinstance(results.pop(64), InnerloopError)
    assert all(isinstance(each, Adaptation) for each in results)


@pytest.mark.parametrize("tasks", [GOOD, "sinusoid", None, 5, pandas.DataFrame([GOOD])])
def test_what_is_no_list_of_tasks_is_refused(innerloop: Client, tasks: Any) -> None:
    with pytest.raises(UnsupportedInput, match=r"^tasks: expected an iterable of mappings, got "):
        innerloop.adapt_many(tasks)


def test_an_async_generator_is_refused_with_the_cure(url: str) -> None:
    async def stream() -> AsyncIterator[Task]:
        yield GOOD

    async def run() -> None:
        async with AsyncClient(url) as innerloop:
            await innerloop.adapt_many(stream())  # type: ignore[arg-type]

    with pytest.raises(UnsupportedInput, match=r"got async_generator: make a list of it, with \[task async for "):
        asyncio.run(run())


def test_numbers_that_json_does_not_have(innerloop: Client) -> None:
    """NaN may be a missing value, which the server decides."""
    nan, inf, large = float("nan"), float("inf"), 10**5000
    bad: dict[str, Any] = {
        "x[0][0]: expected a finite number, got inf": {"x": [[inf]]},
        "x[0][0]: expected a finite number, got one that is too large": {"x": [[-large]]},
        "y[0]: expected a finite number, got -inf": {"y": [-inf]},
        "steps: expected a finite number, got one that is too large": {"steps": large},
        "learning_rate: expected a finite number, got nan": {"learning_rate": nan},
    }
    for message, each in bad.items():
        [error] = innerloop.adapt_many([{"model": "sinusoid", "x": [[1]], "y": [1]} | each])
        assert str(error) == f"tasks[0]: {message}"
    [target, place] = innerloop.adapt_many([GOOD | {"y": [*Y[:-1], nan]}, GOOD | {"x": [*X[:-1], [nan]]}])
    for error, wrong in ((target, {"y": [*Y[:-1], nan]}), (place, {"x": [*X[:-1], [nan]]})):
        with pytest.raises(InvalidRequest) as alone:
            innerloop.adapt(**GOOD | wrong)
        assert str(error) == str(alone.value)
        assert "a missing value" in str(error)


def test_a_generator_may_use_one_array_for_all_tasks(innerloop: Client) -> None:
    def tasks() -> Iterator[Task]:
        x = np.zeros((2, 1))
        for number in range(3):
            x[:] = np.array([[number], [number + 0.5]])
            yield {"model": "sinusoid", "x": x, "y": [1.0, 2.0]}

    adaptations = innerloop.adapt_many(tasks())
    inputs = [each.support()["inputs"] for each in adaptations if not isinstance(each, InnerloopError)]
    assert inputs == [[[0.0], [0.5]], [[1.0], [1.5]], [[2.0], [2.5]]]


def test_what_a_generator_raises_is_raised(innerloop: Client) -> None:
    def failing() -> Iterator[Task]:
        yield from tasks(70)
        raise RuntimeError("out of tasks")

    with pytest.raises(RuntimeError, match="out of tasks"):
        innerloop.adapt_many(failing(), idempotency_key="monday")
    made = {each.id for each in innerloop.adaptations()}
    again = innerloop.adapt_many(tasks(70), idempotency_key="monday")
    assert made == {each.id for each in again[:64] if isinstance(each, Adaptation)}


def lines(*bodies: Any) -> bytes:
    return answer(b"\n".join(json.dumps(body).encode() for body in bodies), NDJSON)


def adapted(count: int) -> list[dict[str, Any]]:
    return [ADAPTED | {"adaptation_id": f"{index}"} for index in range(count)]


def test_a_short_answer_is_asked_for_again(server_of: Callable[..., Answering]) -> None:
    first, second = adapted(2)
    cut = lines(first)
    server = server_of([cut, cut + b'\n{"adapt', lines(first, second)])
    results = Client(server.url).adapt_many([GOOD] * 2)
    assert [each.id for each in results if isinstance(each, Adaptation)] == ["0", "1"]
    assert len({request.lower().split(b"idempotency-key: ")[1][:32] for request in server.requests}) == 1


def test_the_lines_that_have_come_are_kept(server_of: Callable[..., Answering]) -> None:
    server = server_of([lines(*adapted(1)), answer({"status": 500, "detail": "x"}, status=500)])
    results = Client(server.url, retries=1).adapt_many([GOOD] * 2)
    assert [type(each) for each in results] == [Adaptation, ServerError]


def test_html_for_a_later_request(server_of: Callable[..., Answering]) -> None:
    server = server_of([lines(*adapted(64)), answer(b"<html>", "text/html")])
    results = Client(server.url).adapt_many([GOOD] * 66)
    assert [type(each) for each in results] == [Adaptation] * 64 + [UnexpectedAnswer] * 2


def test_lines_of_another_server(server_of: Callable[..., Answering]) -> None:
    first, second = adapted(2)
    bodies: list[Any] = [5, None, [], {}, {"adaptation_id": 1}, {"adaptation_id": 1, "model": "sinusoid"}, first]
    server = server_of([lines(*bodies, second | {"model": "linear"})])
    results = Client(server.url).adapt_many([GOOD] * 8)
    assert [type(each) for each in results] == [UnexpectedAnswer] * 6 + [Adaptation, UnexpectedAnswer]


def test_a_server_that_is_gone_is_asked_once(server_of: Callable[..., Answering]) -> None:
    server = server_of([])
    task: Task = {"model": "sinusoid", "x": pandas.DataFrame(X), "y": Y}
    results = Client(server.url, retries=0).adapt_many([task] * 3)
    assert [type(each) for each in results] == [ConnectionFailed] * 3
    assert len(server.requests) == 1


@pytest.mark.parametrize("x", [X, pandas.DataFrame(X)], ids=["lists", "DataFrames"])
def test_a_server_that_never_answers_is_asked_once(x: Any) -> None:
    over = threading.Event()

    def silent(number: int) -> Iterator[bytes]:
        over.wait(10)
        yield b""

    task: Task = {"model": "sinusoid", "x": x, "y": Y}
    with Answering(silent) as server, Client(server.url, timeout=0.2) as innerloop:
        results = innerloop.adapt_many([task] * 200)
        over.set()
    assert [type(each) for each in results] == [DeadlinePassed] * 200
    assert len(server.requests) == 1


def test_a_deadline_of_one_task_is_its_own(server_of: Callable[..., Answering]) -> None:
    late = {"type": "t", "title": "The deadline has passed", "status": 504, "detail": "allow more time"}
    server = server_of([lines(late, *adapted(63)), lines(*adapted(2))])
    results = Client(server.url).adapt_many([GOOD] * 66)
    assert [type(each) for each in results] == [DeadlinePassed] + [Adaptation] * 65
