"""Losses as they come, then the adaptation."""

import asyncio
import gc
import json
import pickle
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from innerloop_client import (
    AsyncClient,
    Client,
    DeadlinePassed,
    Diverged,
    InnerloopError,
    InvalidRequest,
    UnexpectedAnswer,
    UnsupportedInput,
)
from innerloop_client.retries import Attempts
from innerloop_client.streams import AsyncAdaptStream, _in_time
from service_tests.api.requests import QUERIES, WAVE
from service_tests.client.answering import ADAPTED, Answering, answer, flooding, trickling
from service_tests.client.cutting import Cutting
from service_tests.client.flaky import Flaky
from service_tests.conftest import Work
from service_tests.processes import wait_until

X, Y = WAVE["inputs"], WAVE["targets"]


def test_losses_come_before_the_adaptation(innerloop: Client) -> None:
    stream = innerloop.adapt_stream("sinusoid", X, Y, steps=3, label="pump 17")
    with pytest.raises(InnerloopError, match="iterate over all losses first"):
        assert stream.adaptation
    losses = list(stream)
    pump = stream.adaptation
    assert losses == pytest.approx(pump.losses)
    assert (len(losses), pump.label) == (4, "pump 17")
    assert list(stream) == []
    assert pump.predict(QUERIES) == pytest.approx(innerloop.adapt("sinusoid", X, Y, steps=3).predict(QUERIES), abs=1e-5)


def test_an_awaited_stream(url: str) -> None:
    async def run() -> tuple[list[float], list[float | None]]:
        async with AsyncClient(url) as innerloop:
            stream = innerloop.adapt_stream("sinusoid", X, Y)
            return [loss async for loss in stream], stream.adaptation.losses

    losses, expected = asyncio.run(run())
    assert losses == pytest.approx(expected)


def test_a_stream_that_is_left_with_its_event_loop(url: str, caplog: pytest.LogCaptureFixture) -> None:
    async def begin() -> AsyncAdaptStream:
        stream = AsyncClient(url).adapt_stream("sinusoid", X, Y)
        await anext(stream)
        return stream

    stream = asyncio.run(begin())
    with pytest.raises(InnerloopError, match="iterate over all losses first"):
        assert stream.adaptation
    with pytest.raises(InnerloopError, match="the stream was interrupted"):
        asyncio.run(anext(stream))
    assert caplog.messages == [], "asyncio has nothing to say about generators that it could not close"


def test_each_loss_comes_at_once_and_leaving_cancels_the_rest(serve_live: Callable[..., str], work: Work) -> None:
    with Client(serve_live()) as innerloop:
        work.hold()
        stream = innerloop.adapt_stream("sinusoid", X, Y, steps=50)
        for steps in range(3):
            work.let_through()
            assert next(stream) > 0
            assert work.steps == steps + 1
        del stream
        gc.collect()
        work.release()
        assert list(innerloop.adaptations()) == []
        wait_until(lambda: innerloop.health().ready, "not ready", 10)
        assert work.steps < 50


def test_errors_of_a_stream(innerloop: Client) -> None:
    with pytest.raises(InvalidRequest, match=r"support\.inputs\[1\]"):
        list(innerloop.adapt_stream("sinusoid", [[1], [2, 3]], [0, 1]))
    with pytest.raises(Diverged):
        list(innerloop.adapt_stream("sinusoid", [[1e20], [-1e20]], [1e20, -1e20]))
    with pytest.raises(UnsupportedInput):
        list(innerloop.adapt_stream("sinusoid", "x", Y))


@pytest.mark.parametrize("faults", [("busy",), ("lost",), ("half", "lost")])
def test_a_stream_that_breaks_off_goes_on(flaky_client: Client, flaky: Flaky, faults: tuple[str, ...]) -> None:
    flaky.spoil(*faults)
    stream = flaky_client.adapt_stream("sinusoid", X, Y)
    assert list(stream) == pytest.approx(stream.adaptation.losses)
    assert [each.id for each in flaky_client.adaptations()] == [stream.adaptation.id]
    assert len(flaky.requests) == len(faults) + 2, "each spoiled request, the last one, and the list"


def test_no_loss_comes_twice(serve_live: Callable[..., str], work: Work) -> None:
    """The server has cancelled the steps, and adapts again from the first one on."""
    with Cutting(serve_live()) as network, Client(network.url) as innerloop:
        work.hold()
        stream = innerloop.adapt_stream("sinusoid", X, Y)
        work.let_through(2)
        losses = [next(stream), next(stream)]
        network.cut()
        work.release()
        losses += list(stream)
        assert losses == pytest.approx(stream.adaptation.losses)
        assert [each.id for each in innerloop.adaptations()] == [stream.adaptation.id]


def event(name: str, data: Any) -> bytes:
    return f"event: {name}\ndata: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode()


def events(*parts: bytes) -> bytes:
    return answer(b"".join(parts), "text/event-stream")


@pytest.mark.parametrize(
    "bad",
    [
        event("step", "{bad"),
        event("step", {}),
        event("step", []),
        event("step", {"step": 0, "loss": "x"}),
        event("step", {"step": 0, "loss": "1"}),
        event("step", {"step": 0, "loss": True}),
        event("step", '{"step": 0, "loss": Infinity}'),
        event("result", {}),
        event("result", ADAPTED | {"losses": None}),
        event("result", {"losses": [1.0]}),
        event("problem", {}),
        event("problem", {"status": "400", "detail": "x"}),
        event("result", ADAPTED | {"model": "linear"}),
        b"event: step\ndata: \xff\n\n",
    ],
)
def test_events_of_another_server(server_of: Callable[..., Answering], bad: bytes) -> None:
    server = server_of([events(bad)])
    stream = Client(server.url).adapt_stream("sinusoid", X, Y)
    for _ in range(2):
        with pytest.raises(UnexpectedAnswer):
            list(stream)
    assert len(server.requests) == 1


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"])
@pytest.mark.parametrize("media", ["text/event-stream; charset=hex", "Text/Event-Stream"])
def test_any_form_of_the_same_events(server_of: Callable[..., Answering], media: str, end: bytes) -> None:
    lines = [b"event: ping", b"data: {}", b"", b"data: {}", b""]
    lines += [b"event:step", b'data:{"step": 0,', b'data: "loss": 2.0}', b"", b": hello", b"event: problem", b""]
    lines += [b"event: result", b"data: " + json.dumps(ADAPTED).encode(), b"", b""]
    server = server_of([answer(b"\xef\xbb\xbf" + end.join(lines), media)])
    assert list(Client(server.url).adapt_stream("sinusoid", X, Y)) == [2.0, 1.0]


@pytest.mark.parametrize("label", ["a\u2028b", "a\u2029b", "a\x85b"])
def test_labels_with_what_unicode_calls_a_new_line(innerloop: Client, label: str) -> None:
    stream = innerloop.adapt_stream("sinusoid", X, Y, label=label)
    assert list(stream) == stream.adaptation.losses
    assert stream.adaptation.label == label


def test_a_flood_ends_with_the_timeout() -> None:
    flood = flooding(answer(b"", "text/event-stream"), b": wait\n" * 10_000)
    with Answering(flood) as server, Client(server.url, timeout=0.3) as client, pytest.raises(DeadlinePassed):
        list(client.adapt_stream("sinusoid", X, Y))


def test_a_part_that_is_there_at_once_is_late_after_the_deadline() -> None:
    async def run() -> list[bytes]:
        return [part async for part in _in_time(parts(), Attempts(1, retries=0, deadline=0.0))]

    async def parts() -> AsyncIterator[bytes]:
        yield b": wait\n"

    with pytest.raises(httpx.ReadTimeout):
        asyncio.run(run())


def test_what_the_user_does_between_losses_takes_no_time(server_of: Callable[..., Answering]) -> None:
    step, result = event("step", {"step": 0, "loss": 2.0}), event("result", ADAPTED)
    server = server_of([events(step, b": wait\n\n" * 100_000, result)])
    losses = []
    for loss in Client(server.url, timeout=1).adapt_stream("sinusoid", X, Y):
        losses.append(loss)
        time.sleep(1.5)
    assert losses == [2.0, 1.0]


def test_a_repeat_sends_the_examples_as_they_were(server_of: Callable[..., Answering]) -> None:
    step, result = event("step", {"step": 0, "loss": 2.0}), event("result", ADAPTED)
    server = server_of([events(step), events(step, result)])
    x = [[1.0], [2.0]]
    for _ in Client(server.url).adapt_stream("sinusoid", x, [1, 2]):
        x[0] = [5.0]
    first, second = (json.loads(request.partition(b"\r\n\r\n")[2]) for request in server.requests)
    assert first == second


def test_a_stream_cannot_be_pickled(innerloop: Client) -> None:
    with pytest.raises(UnsupportedInput, match="a stream cannot be pickled"):
        pickle.dumps(innerloop.adapt_stream("sinusoid", X, Y))


def test_half_an_event_does_not_count(server_of: Callable[..., Answering]) -> None:
    first = event("step", {"step": 0, "loss": 2.0})
    server = server_of([events(first, b"event: step\ndata: {"), events(first, event("result", ADAPTED))])
    assert list(Client(server.url).adapt_stream("sinusoid", X, Y)) == [2.0, 1.0]


def test_a_stream_that_has_failed_does_not_end_as_if_it_were_complete(innerloop: Client) -> None:
    stream = innerloop.adapt_stream("sinusoid", X, Y[1:])
    for _ in range(2):
        with pytest.raises(InvalidRequest):
            list(stream)
    with pytest.raises(InvalidRequest):
        _ = stream.adaptation


def test_an_adaptation_with_fewer_losses_than_came(server_of: Callable[..., Answering]) -> None:
    steps = [event("step", {"step": step, "loss": 1.0}) for step in range(len(ADAPTED["losses"]) + 1)]
    server = server_of([events(*steps, event("result", ADAPTED))])
    with pytest.raises(UnexpectedAnswer, match="there were 3 losses, and the adaptation has 2"):
        list(Client(server.url).adapt_stream("sinusoid", X, Y))


def test_a_stream_that_is_cancelled_does_not_end_as_if_it_were_complete() -> None:
    async def run(url: str) -> None:
        async with AsyncClient(url) as innerloop:
            stream = innerloop.adapt_stream("sinusoid", X, Y)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(stream), 0.1)
            with pytest.raises(InnerloopError, match="interrupted"):
                await anext(stream)

    with Answering(trickling(b"", b"")) as server:
        asyncio.run(run(server.url))


def test_a_closed_stream_ends(innerloop: Client) -> None:
    stream = innerloop.adapt_stream("sinusoid", X, Y)
    next(stream)
    stream.close()
    assert list(stream) == []
