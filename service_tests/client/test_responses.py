"""Answers that Innerloop would not send: each is an error of the client, and nothing is kept of it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from safetensors.numpy import save

from innerloop_client import (
    Adaptation,
    AsyncClient,
    Client,
    DeadlinePassed,
    Diverged,
    FileNotWritten,
    InnerloopError,
    InvalidRequest,
    Overloaded,
    UnexpectedAnswer,
    msgpack,
)
from innerloop_client.errors import server_error
from service_tests.client.answering import ADAPTED, Answering, always, answer, trickling

CALLS: dict[str, Callable[[Client], Any]] = {
    "adapt": lambda client: client.adapt("sinusoid", [[1]], [1]),
    "many": lambda client: _raised(client.adapt_many([{"model": "sinusoid", "x": [[1]], "y": [1]}])),
    "stream": lambda client: list(client.adapt_stream("sinusoid", [[1]], [1])),
    "predict": lambda client: client.predict("sinusoid", [[1]]),
    "propose": lambda client: client.propose("sinusoid", [[1]], [[1]], [1]),
    "health": Client.health,
    "models": Client.models,
    "model": lambda client: client.model("sinusoid"),
    "refused": Client.refused_bundles,
    "adaptation": lambda client: client.adaptation(ADAPTED["adaptation_id"]),
    "adaptations": lambda client: list(client.adaptations()),
    "refresh": lambda client: _stored(client).refresh(),
    "extend": lambda client: _stored(client).extend([[1]], [1]),
    "forget": lambda client: _stored(client).forget(0),
    "undo": lambda client: _stored(client).undo(),
    "edit": lambda client: _stored(client).edit(label="x"),
    "history": lambda client: _stored(client).history(),
    "support": lambda client: _stored(client).support(),
    "weights": lambda client: _stored(client).weights(),
    "delete": lambda client: _stored(client).delete(),
}


def _stored(client: Client) -> Adaptation:
    return Adaptation(client._session, ADAPTED)


def _raised(results: list[Any]) -> None:
    """Raise the first error of many tasks, which stands in its place."""
    assert all(isinstance(each, InnerloopError) for each in results)
    raise results[0]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "response",
    [
        answer(b"<html>", "text/html"),
        answer({}),
        answer([]),
        answer(None),
        answer(5),
        answer(status=204),
        answer(b"", "text/html", status=302, Location="http://127.0.0.1:1/"),
        answer(b"", "text/html", status=302, Location="http://xn--a.com/"),
        answer(b"", "text/html", status=302, Location="mailto:x"),
        answer(b"", "text/html", status=302, Location="http://[::1"),
        answer(b"no gzip", Content_Encoding="gzip"),
        answer(b"[" * 100_000),
        answer(b"\x91" * 100_000, "application/msgpack"),
        answer({"status": "400", "detail": "x"}, status=400),
        answer({"status": None, "detail": None}, status=400),
        answer({"status": 400, "detail": "x", "place": ["x"]}, status=400),
        answer(ADAPTED | {"adaptation_id": "\ud800"}),
        answer(ADAPTED | {"losses": ["x"]}),
        answer(ADAPTED | {"learning_rate": None}),
        answer(ADAPTED | {"losses": [10**400]}),
        answer(ADAPTED | {"examples": ["a"]}),
        answer(ADAPTED | {"support_size": True}),
        answer(ADAPTED | {"message": [["x"]]}),
        answer({"adaptation_id": 1, "losses": None, "predictions": [], "models": [5], "refused": [5]}),
    ],
    ids=lambda response: repr(response.partition(b"\r\n\r\n")[2][:12]),
)
def test_an_answer_of_another_server(call: str, response: bytes) -> None:
    if call == "delete" and b" 204 " in response:
        return
    with Answering(always(response)) as server, Client(server.url) as client:
        with pytest.raises(UnexpectedAnswer):
            CALLS[call](client)
        assert len(server.requests) == 1, "no answer of another server is asked for again"


RAW = {"shape": [1, 1], "data": b"\0" * 8, "dtype": "float64"}


@pytest.mark.parametrize("queries", [[[1]], np.ones((1, 1)), pandas.DataFrame([[1]])], ids=["list", "array", "frame"])
@pytest.mark.parametrize(
    "wrong",
    [
        {"predictions": [[1.0], [2.0]]},
        {"predictions": []},
        {"predictions": "a"},
        {"predictions": [["a"]]},
        {"predictions": [[]]},
        {"predictions": [1.0]},
        {"predictions": {"a": 1}},
        {"predictions": RAW | {"dtype": "(2,"}},
        {"predictions": RAW | {"dtype": "S8"}},
        {"predictions": RAW | {"shape": [1, 3]}},
        {"predictions": [[True]]},
        {"model": "linear"},
        {"model_digest": None},
        {"status": {}},
        {"losses": "ab"},
        {"labels": ""},
        {"lower": [[1.0], [2.0]]},
        {"lower": [[1.0, 2.0]]},
        {"predictions": [[float("inf")]]},
        {"lower": [[1.0]]},
        {"lower": [[5.0]], "upper": [[1.0]]},
        {"probabilities": [[0.5, None]], "predictions": ["a"], "labels": ["a", "b"]},
        {"probabilities": [[0.5, 0.5]], "predictions": [True]},
        {"predictions": [["1"]]},
        {"predictions": [[[1.0]]]},
        {"labels": [1]},
        {"unlike": ["x"]},
        {"probabilities": [[0.5, 0.5]], "predictions": ["a"], "labels": ["a", "a"]},
        {"probabilities": [[0.5, 0.5]], "predictions": ["a"], "labels": ["a", None]},
        {"unlike": [[True]]},
        {"unlike": [False, True]},
        {"probabilities": [[0.5, 0.5]], "predictions": [["a"]], "labels": ["a", "b"]},
        {"probabilities": [[1.0]], "predictions": ["a"], "labels": ["a", "b"]},
        {"probabilities": [[1.0]], "predictions": ["b"], "labels": ["a"]},
        {"probabilities": [[1.0]], "predictions": ["a"], "labels": [["a"]]},
        {"probabilities": [[1.0]], "predictions": ["a"], "labels": 5},
        {"probabilities": [[-3.0, 4.0]], "predictions": ["a"], "labels": ["a", "b"]},
        {"probabilities": [[0.5, 0.5]], "predictions": ["a"], "labels": ["a", "b", "b"]},
    ],
    ids=str,
)
def test_predictions_that_do_not_match_the_queries(queries: Any, wrong: dict[str, Any]) -> None:
    body = {"model": "sinusoid", "model_digest": "d", "predictions": [[1.0]]} | wrong
    response = answer(msgpack.pack(body, None), msgpack.MEDIA)  # type: ignore[arg-type]
    model = answer({"name": "sinusoid", "kind": "regression", "inputs": {"encoder": "numbers", "columns": []}})
    error = pytest.raises(UnexpectedAnswer)

    def respond(number: int) -> list[bytes]:
        return [response if b"/predict" in server.requests[-1] else model]

    with Answering(respond) as server, Client(server.url) as client, error:
        client.predict("sinusoid", queries)


def test_an_answer_for_another_adaptation() -> None:
    body = {"model": "sinusoid", "model_digest": "d", "predictions": [[1.0]], "proposals": [], "adaptation_id": "other"}
    calls: list[Callable[[Adaptation], Any]] = [lambda each: each.predict([[1]]), lambda each: each.propose([[1]], 1)]
    for call in calls:
        error = pytest.raises(UnexpectedAnswer, match="adaptation_id is 'other' instead of")
        with Answering(always(answer(body))) as server, Client(server.url) as client, error:
            call(_stored(client))


@pytest.mark.parametrize("names", [["a", "b"], [["a"]], [1]])
def test_names_of_targets_that_do_not_fit(names: list[Any]) -> None:
    columns = [{"name": name} for name in names]
    body = {"model": "sinusoid", "model_digest": "d", "predictions": [[1.0, 2.0, 3.0]]}
    model = {"name": "sinusoid", "kind": "regression", "inputs": {"encoder": "numbers", "columns": []}}

    def respond(number: int) -> list[bytes]:
        is_prediction = b"/predict" in server.requests[-1]
        return [answer(body if is_prediction else model | {"target_columns": columns})]

    error = pytest.raises(UnexpectedAnswer)
    with Answering(respond) as server, Client(server.url) as client, error:
        client.predict("sinusoid", pandas.DataFrame([[1]]))


def test_names_of_inputs_that_are_no_texts() -> None:
    model = {
        "name": "wards",
        "digest": "0",
        "kind": "regression",
        "inputs": {"encoder": "table", "columns": [{"name": [1]}]},
    }
    error = pytest.raises(UnexpectedAnswer, match="the names of columns are")
    with Answering(always(answer(model))) as server, Client(server.url) as client, error:
        client.adapt("wards", pandas.DataFrame({"age": [1]}), [1])


@pytest.mark.parametrize(
    "wrong", [{"models": [None]}, {"failing": [1]}, {"failing": {"a": 1}}, {"degraded": "x"}, {"compiled": 1}], ids=str
)
def test_health_of_another_server(wrong: dict[str, Any]) -> None:
    health = {"status": "ready", "device": "cpu", "models": [], "compiled": True, "compiling": False}
    error = pytest.raises(UnexpectedAnswer, match=f"{next(iter(wrong))} is ")
    with Answering(always(answer(health | wrong))) as server, Client(server.url) as client, error:
        client.health()


def test_a_problem_without_words() -> None:
    problem = answer({"status": 400, "detail": "", "title": "Bad"}, "application/problem+json", 400)
    with Answering(always(problem)) as server, Client(server.url) as client, pytest.raises(InvalidRequest, match="Bad"):
        client.health()


@pytest.mark.parametrize("wrong", [{"adaptation_id": "b"}, {"model": "linear"}], ids=str)
@pytest.mark.parametrize("call", ["adaptation", "refresh", "extend", "forget", "undo", "edit"])
def test_the_answer_to_another_request(call: str, wrong: dict[str, Any]) -> None:
    if call == "adaptation" and "model" in wrong:
        return
    error = pytest.raises(UnexpectedAnswer, match=f"{next(iter(wrong)).removeprefix('adaptation_')} is ")
    with Answering(always(answer(ADAPTED | wrong))) as server, Client(server.url) as client, error:
        CALLS[call](client)


def test_a_server_that_goes_back() -> None:
    body = ADAPTED | {"revision": 3}
    with Answering(always(answer(ADAPTED | {"revision": 2}))) as server, Client(server.url) as client:
        pump = Adaptation(client._session, body)
        assert pump.refresh().revision == 2, "the server went back"


def test_a_later_answer_stays() -> None:
    """Whatever comes while a call waits is newer than its answer."""
    server_body = always(answer(ADAPTED | {"revision": 2}))
    with Answering(server_body) as server, Client(server.url) as client:
        pump = Adaptation(client._session, ADAPTED | {"revision": 1})
        pump._update(ADAPTED | {"revision": 3}, 1)
        assert pump._update(ADAPTED | {"revision": 2}, 1).revision == 3


def test_another_model_has_adapted() -> None:
    linear = always(answer(ADAPTED | {"model": "linear"}))
    with Answering(linear) as server, Client(server.url) as client, pytest.raises(UnexpectedAnswer, match="model is"):
        CALLS["adapt"](client)


@pytest.mark.parametrize("id", ["", "..", "a" * 300])
def test_an_id_that_no_path_can_have(id: str) -> None:
    body = always(answer(ADAPTED | {"adaptation_id": id}))
    with Answering(body) as server, Client(server.url) as client, pytest.raises(UnexpectedAnswer, match="id: expected"):
        CALLS["adapt"](client)


def test_a_history_of_another_adaptation() -> None:
    error = pytest.raises(UnexpectedAnswer, match="adaptation_id is 'b'")
    body = always(answer({"adaptation_id": "b", "revisions": []}))
    with Answering(body) as server, Client(server.url) as client, error:
        CALLS["history"](client)


def test_a_time_without_an_offset() -> None:
    body = always(answer(ADAPTED | {"expires_at": "2026-01-01"}))
    with Answering(body) as server, Client(server.url) as client, pytest.raises(UnexpectedAnswer, match="no offset"):
        CALLS["adapt"](client)


@pytest.mark.parametrize("name", ["status", "losses", "created_at", "adaptation_id"])
def test_an_adaptation_that_lacks_something_changes_nothing(name: str) -> None:
    body = {key: value for key, value in (ADAPTED | {"revision": 2}).items() if key != name}
    with Answering(always(answer(body))) as server, Client(server.url) as client:
        pump = _stored(client)
        with pytest.raises(UnexpectedAnswer, match=r"^expected an adaptation from Innerloop, got another answer "):
            pump.refresh()
        assert pump.revision == 1


def test_a_model_without_columns_is_of_another_server() -> None:
    model = answer({"name": "wards", "digest": "0", "kind": "regression", "inputs": {"encoder": "table"}})
    error = pytest.raises(UnexpectedAnswer, match="KeyError: 'columns'")
    with Answering(always(model)) as server, Client(server.url) as client, error:
        client.adapt("wards", pandas.DataFrame({"age": [1]}), [1])


@pytest.mark.parametrize(
    "response",
    [
        answer(b"<html>", "text/html"),
        answer(b"", "application/octet-stream"),
        answer(b"x", "application/octet-stream"),
        answer((2).to_bytes(8, "little") + b"{}", "application/octet-stream"),
        answer(save({"head.bias": np.zeros(2, "float32")})[:-1], "application/octet-stream"),
    ],
)
def test_weights_of_another_server_are_not_written(response: bytes, tmp_path: Path) -> None:
    path = tmp_path / "pump.safetensors"
    with Answering(always(response)) as server, Client(server.url) as client, pytest.raises(UnexpectedAnswer):
        _stored(client).weights(path)
    assert not path.exists()


def test_a_path_that_cannot_be_written(tmp_path: Path) -> None:
    weights = save({"head.bias": np.zeros(2, "float32")})
    response = answer(weights, "application/octet-stream")
    with Answering(always(response)) as server, Client(server.url) as client:
        with pytest.raises(FileNotWritten, match=r"^path: cannot write .*none/w\.safetensors"):
            _stored(client).weights(tmp_path / "none/w.safetensors")
        assert _stored(client).weights() == weights


def test_pages_that_never_end() -> None:
    page = answer({"adaptations": [ADAPTED], "next": "x"})
    with Answering(always(page)) as server, Client(server.url) as client:
        with pytest.raises(UnexpectedAnswer, match="another page"):
            list(client.adaptations())
        assert len(server.requests) == 2


@pytest.mark.parametrize("next", ["y", "x" * 70_000, "\ud800", 5])
def test_a_page_that_no_other_can_follow(next: Any) -> None:
    page = always(answer({"adaptations": [] if next == "y" else [ADAPTED], "next": next}))
    with Answering(page) as server, Client(server.url) as client, pytest.raises(UnexpectedAnswer, match="next is"):
        list(client.adaptations())


@pytest.mark.parametrize(
    "support",
    [
        {"inputs": 5, "targets": []},
        {"inputs": []},
        {"episodes": {}},
        {"adaptation_id": "b", "inputs": [], "targets": []},
    ],
    ids=str,
)
def test_examples_of_another_server(support: dict[str, Any]) -> None:
    body = {"adaptation_id": ADAPTED["adaptation_id"]} | support
    with Answering(always(answer(body))) as server, Client(server.url) as client, pytest.raises(UnexpectedAnswer):
        _stored(client).support()


def test_health_of_a_server_that_is_overloaded() -> None:
    problem = answer({"status": 503, "detail": "the queue is full"}, "application/problem+json", 503)
    with Answering(always(problem)) as server, Client(server.url) as client, pytest.raises(Overloaded, match="queue"):
        client.health()


@pytest.mark.parametrize("call", ["adapt", "many", "stream", "predict", "health", "weights"])
def test_a_body_that_trickles_in_ends_with_the_timeout(call: str) -> None:
    start = answer(b"", {"stream": "text/event-stream", "many": "application/x-ndjson"}.get(call, "application/json"))
    part = b": wait\n\n" if call == "stream" else b" "
    late = pytest.raises(DeadlinePassed, match=r"did not answer within 0\.3 s")
    with Answering(trickling(start, part)) as server, Client(server.url, timeout=0.3) as client, late:
        CALLS[call](client)


@pytest.mark.parametrize("start", [answer(), b"HTTP/1.1 200 OK\r\n"], ids=["body", "headers"])
def test_an_awaited_answer_that_trickles_in_ends_with_the_timeout(start: bytes) -> None:
    async def run(url: str) -> None:
        async with AsyncClient(url, timeout=0.3) as client:
            await client.health()

    with Answering(trickling(start, b"x: y\r\n")) as server, pytest.raises(DeadlinePassed):
        asyncio.run(run(server.url))


def test_an_awaited_stream_that_trickles_in_ends_with_the_timeout() -> None:
    async def run(url: str) -> None:
        async with AsyncClient(url, timeout=0.3) as client:
            _ = [loss async for loss in client.adapt_stream("sinusoid", [[1]], [1])]

    with Answering(trickling(answer(b"", "text/event-stream"), b": wait\n\n")) as server, pytest.raises(DeadlinePassed):
        asyncio.run(run(server.url))


def test_losses_of_other_types_are_no_divergence() -> None:
    problem = {"status": 422, "detail": "x"}
    assert type(server_error(problem | {"losses": [1.0, None]})) is Diverged
    assert type(server_error(problem | {"losses": ["a"]})) is InvalidRequest
