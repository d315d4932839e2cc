"""POST /adapt with Accept: text/event-stream: each step's loss as it happens, then the result."""

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import orjson
import pytest
from fastapi.testclient import TestClient

from service_tests.api.requests import adapt, body, predictions
from service_tests.conftest import Work
from service_tests.processes import disconnect, wait_until

Event = tuple[str, dict[str, Any]]
ACCEPT = {"accept": "text/event-stream"}


def parse_events(lines: Iterator[str]) -> Iterator[Event]:
    """Parse the lines of a stream into events, as they arrive."""
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def raw_request(payload: Any, headers: str = "") -> bytes:
    """The bytes of a request to /adapt, with more headers."""
    content = orjson.dumps(payload)
    head = f"POST /adapt HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nContent-Length: {len(content)}\r\n"
    return f"{head}Content-Type: application/json\r\n{headers}\r\n".encode() + content


def events(client: Any, payload: Any, path: str = "/adapt", **headers: str) -> list[Event]:
    response = client.post(path, json=payload, headers=ACCEPT | headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    return list(parse_events(iter(response.text.splitlines())))


def test_events_are_the_loss_of_each_step_and_then_the_result(client: TestClient) -> None:
    plain = adapt(client, steps=7, label="x")
    *steps, (last, result) = events(client, body(steps=7, label="x"))
    assert [name for name, _ in steps] == ["step"] * 8
    assert [data["step"] for _, data in steps] == list(range(8))
    assert [data["loss"] for _, data in steps] == pytest.approx(plain["losses"], rel=1e-5)
    assert last == "result"
    assert result["losses"] == pytest.approx(plain["losses"], rel=1e-5)
    for differs in ("adaptation_id", "losses"):
        del plain[differs]
    assert {key: result[key] for key in plain} == plain


def test_a_streamed_adaptation_is_stored(client: TestClient, work: Work) -> None:
    result = events(client, body())[-1][1]
    adaptation_id = result["adaptation_id"]
    assert client.get(f"/adaptations/{adaptation_id}").json() == result
    other = adapt(client)["adaptation_id"]
    assert predictions(client, adaptation_id) == pytest.approx(predictions(client, other), abs=1e-5)


def test_zero_steps_give_one_loss_and_the_result(client: TestClient) -> None:
    assert [name for name, _ in events(client, body(steps=0))] == ["step", "result"]


def test_a_diverging_inner_loop_ends_in_a_problem(client: TestClient) -> None:
    received = events(client, body({"inputs": [[1e4], [-1e4]], "targets": [1e4, 1e4]}, steps=3))
    assert [name for name, _ in received] == ["step"] * 4 + ["problem"]
    problem = received[-1][1]
    assert problem["type"] == "urn:problem-type:innerloop:diverged"
    assert problem["status"] == 422
    assert [data["loss"] for _, data in received[:2]] == pytest.approx(problem["losses"][:2])
    assert client.get("/adaptations").json() == {"adaptations": []}


def test_a_refused_request_gets_a_problem_instead_of_a_stream(client: TestClient) -> None:
    for payload, headers, status in (
        (body(steps=101), {}, 422),
        (body(model="nothing"), {}, 404),
        (body(), {"x-timeout-ms": "x"}, 422),
        (body({"inputs": [[1]], "targets": []}), {}, 422),
    ):
        response = client.post("/adapt", json=payload, headers=ACCEPT | headers)
        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"


def test_a_repeat_gets_only_the_result(client: TestClient) -> None:
    first = events(client, body(), **{"idempotency-key": "k"})
    assert len(first) == 7
    again = events(client, body(), **{"idempotency-key": "k"})
    assert again == first[-1:]
    plain = client.post("/adapt", json=body(), headers={"idempotency-key": "k"})
    assert plain.json() == first[-1][1]
    refused = client.post("/adapt", json=body(steps=1), headers=ACCEPT | {"idempotency-key": "k"})
    assert refused.status_code == 422
    assert refused.json()["type"] == "urn:problem-type:innerloop:key-reused"


def test_the_same_content_is_reused(client: TestClient) -> None:
    adaptation = adapt(client, reuse=True)
    assert events(client, body(reuse=True)) == [("result", adaptation)]


def test_each_event_is_sent_as_it_happens(serve_live: Callable[..., str], work: Work) -> None:
    url = serve_live()
    work.hold()
    work.let_through(1)
    with httpx.stream("POST", f"{url}/adapt", json=body(steps=4), headers=ACCEPT, timeout=20) as response:
        stream = parse_events(response.iter_lines())
        for step in range(5):
            name, data = next(stream)
            assert (name, data["step"]) == ("step", step)
            assert work.steps == step + 1, "the next step waits at the gate"
            work.let_through(2 if step == 4 else 1)
        assert next(stream)[0] == "result"
        assert next(stream, None) is None


def test_other_requests_are_served_between_the_steps(serve_live: Callable[..., str], work: Work) -> None:
    url = serve_live()
    work.hold()
    work.let_through(1)
    with (
        httpx.stream("POST", f"{url}/adapt", json=body(steps=50), headers=ACCEPT, timeout=20) as response,
        ThreadPoolExecutor(1) as threads,
    ):
        stream = parse_events(response.iter_lines())
        next(stream)
        other = threads.submit(httpx.post, f"{url}/adapt", json=body())
        work.until_submitted(2)
        work.let_through(2)
        assert other.result().status_code == 201
        assert work.steps <= 3
        work.release()
        assert list(stream)[-1][0] == "result"


def test_disconnecting_cancels_the_remaining_steps(serve_live: Callable[..., str], work: Work) -> None:
    url = serve_live()
    work.hold()
    with socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0)) as connection:
        connection.sendall(raw_request(body(steps=100), "Idempotency-Key: k\r\n"))
        work.let_through(3)
        received = b""
        while b'"step":2' not in received:
            received += connection.recv(1000)
        disconnect(connection)
    work.release()
    for _ in range(10):  # the steps of a stream alternate with other requests
        assert httpx.post(f"{url}/predict", json={"model": "sinusoid", "queries": [[1.0]]}).status_code == 200
    assert work.steps <= 5
    assert httpx.get(f"{url}/adaptations").json() == {"adaptations": []}
    again = httpx.post(f"{url}/adapt", json=body(steps=100), headers={"idempotency-key": "k"})
    assert again.status_code == 201, "the key is free"


@pytest.mark.parametrize("sent", [0, 1, 2])
def test_a_repeat_does_not_wait_for_events_that_cannot_be_sent(client: TestClient, sent: int) -> None:
    """Some servers raise an error where uvicorn sends nothing any more. pytest keeps what has raised it."""
    headers = {"idempotency-key": "k"}
    request = client.build_request("POST", "/adapt", json=body(), headers=ACCEPT | headers)
    messages = [{"type": "http.request", "body": request.read(), "more_body": False}]
    answered: list[Any] = []

    async def receive() -> Any:
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if len(answered) == sent:
            raise OSError
        answered.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/adapt", "query_string": b"", "root_path": "", "scheme": "http",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
    }  # fmt: skip
    assert client.portal is not None
    with pytest.raises(OSError) as failure:  # noqa: PT011 (the test raises it)
        client.portal.call(client.app, scope, receive, send)
    response = client.post("/adapt", json=body(), headers=headers | {"x-timeout-ms": "5000"})
    assert response.status_code == 201, failure


def test_a_client_that_disconnects_before_the_first_step_costs_no_step(
    serve_live: Callable[..., str], work: Work
) -> None:
    url = serve_live()
    work.hold()
    with ThreadPoolExecutor(1) as threads:
        busy = threads.submit(httpx.post, f"{url}/adapt", json=body())
        work.until_waiting()
        with socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0)) as connection:
            connection.sendall(raw_request(body()))
            work.until_submitted(2)
            disconnect(connection)
        work.release()
        assert busy.result().status_code == 201
    wait_until(
        lambda: len(httpx.get(f"{url}/adaptations").json()["adaptations"]) == 1,
        "the other request's adaptation is not stored",
        10,
    )
    assert work.steps == 0


def test_a_deadline_ends_a_stream(serve_live: Callable[..., str], work: Work) -> None:
    url = serve_live()
    work.hold()
    work.let_through(1)
    headers = ACCEPT | {"x-timeout-ms": "700"}
    with httpx.stream("POST", f"{url}/adapt", json=body(), headers=headers, timeout=20) as response:
        received = list(parse_events(response.iter_lines()))
    assert [name for name, _ in received] == ["step", "problem"]
    assert received[-1][1]["status"] == 504
    work.release()
    assert httpx.get(f"{url}/adaptations").json() == {"adaptations": []}


def test_a_full_queue_refuses_a_stream_at_once(serve_live: Callable[..., str], work: Work) -> None:
    url = serve_live(max_waiting=1)
    work.hold()
    with ThreadPoolExecutor(2) as threads:
        busy = [threads.submit(httpx.post, f"{url}/adapt", json=body())]
        work.until_waiting()
        busy.append(threads.submit(httpx.post, f"{url}/adapt", json=body()))
        work.until_submitted(2)
        response = httpx.post(f"{url}/adapt", json=body(), headers=ACCEPT)
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        work.release()
        assert [each.result().status_code for each in busy] == [201, 201]
