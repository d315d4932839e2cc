"""Deadlines, full queues, clients that disconnect, and a shutdown that finishes accepted requests."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from fastapi.testclient import TestClient

from app.api.openapi_examples import ERRORS
from app.errors import DeadlinePassed, Overloaded
from service_tests.api.requests import QUERIES, body, examples
from service_tests.conftest import Work
from service_tests.processes import command, disconnect, starting_fork, wait_until


def post_with_deadline(client: Any, path: str, milliseconds: object, payload: Any) -> Any:
    return client.post(path, json=payload, headers={"x-timeout-ms": str(milliseconds)})


@pytest.fixture
def slow(serve_live: Callable[..., str], work: Work) -> tuple[str, Work]:
    """The URL of a server whose engine is held up by one request, and the gate to release it."""
    url = serve_live(max_waiting=3, max_waiting_bytes=4000)
    work.hold()
    threading.Thread(target=httpx.post, args=(f"{url}/adapt",), kwargs={"json": body()}, daemon=True).start()
    work.until_waiting()
    return url, work


def count_adaptations(url: str) -> int:
    return len(httpx.get(f"{url}/adaptations").json()["adaptations"])


@pytest.mark.parametrize("path", ["/adapt", "/predict", "/adaptations/{adaptation_id}/support"])
def test_a_request_whose_deadline_passes_while_it_waits_gets_504(slow: tuple[str, Work], path: str) -> None:
    url, work = slow
    work.release()
    wait_until(lambda: count_adaptations(url) == 1, "the first adaptation is not stored", 10)
    adaptation_id = httpx.get(f"{url}/adaptations").json()["adaptations"][0]["adaptation_id"]
    tasks_before = len(work.tasks)
    work.hold()
    with ThreadPoolExecutor(1) as threads:
        busy = threads.submit(httpx.post, f"{url}/predict", json={"adaptation_id": adaptation_id, "queries": QUERIES})
        work.until_waiting(2)
        payload: Any = {"/adapt": body(), "/predict": body(queries=QUERIES)}.get(path, examples(2))
        started = time.monotonic()
        response = post_with_deadline(httpx, url + path.format(adaptation_id=adaptation_id), 50, payload)
        assert time.monotonic() - started < 2
        assert response.status_code == 504
        assert response.json()["detail"] == str(ERRORS[DeadlinePassed][1])
        assert response.json()["type"] == "urn:problem-type:innerloop:deadline-passed"
        assert "retry-after" not in response.headers
        work.release()
        assert busy.result().status_code == 200
    assert count_adaptations(url) == 1
    assert httpx.get(f"{url}/adaptations/{adaptation_id}").json()["revision"] == 1
    assert len(work.tasks) == tasks_before + 1, "only the request before it has run"


@pytest.mark.parametrize(("method", "path"), [("DELETE", "support/0"), ("GET", "weights")])
def test_a_deadline_applies_to_requests_without_a_body(slow: tuple[str, Work], method: str, path: str) -> None:
    url, work = slow
    work.release()
    wait_until(lambda: count_adaptations(url) == 1, "the first adaptation is not stored", 10)
    adaptation_url = f"{url}/adaptations/{httpx.get(f'{url}/adaptations').json()['adaptations'][0]['adaptation_id']}"
    work.hold()
    response = httpx.request(method, f"{adaptation_url}/{path}", headers={"x-timeout-ms": "50"})
    assert response.status_code == 504
    work.release()
    assert httpx.request(method, f"{adaptation_url}/{path}", headers={"x-timeout-ms": "20000"}).status_code == 200
    assert httpx.get(adaptation_url).json()["revision"] == (2 if method == "DELETE" else 1)


def test_a_distant_deadline_changes_nothing(client: TestClient) -> None:
    assert post_with_deadline(client, "/adapt", 20_000, body()).status_code == 201
    assert (
        post_with_deadline(client, "/predict", 86_400_000, {"model": "sinusoid", "queries": QUERIES}).status_code == 200
    )


@pytest.mark.parametrize("deadline", ["0", "-1", "1.5", "x", "", "1e3", "86400001", "9" * 30, "9" * 5000, "+5", "0x10"])
def test_an_invalid_deadline_is_refused(client: TestClient, deadline: str) -> None:
    for path, payload in (("/adapt", body()), ("/predict", {"model": "sinusoid", "queries": QUERIES})):
        response = post_with_deadline(client, path, deadline, payload)
        assert response.status_code == 422
        assert response.json()["place"] == "X-Timeout-Ms"
    assert client.get("/adaptations").json() == {"adaptations": []}


def test_a_full_queue_gets_503_at_once(slow: tuple[str, Work]) -> None:
    url, work = slow
    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(httpx.post, f"{url}/adapt", json=body()) for _ in range(3)]
        work.until_submitted(4)
        started = time.monotonic()
        for payload, path in ((body(), "adapt"), (body(queries=QUERIES), "predict")):
            response = httpx.post(f"{url}/{path}", json=payload)
            assert response.status_code == 503
            assert response.headers["retry-after"] == "1"
            assert response.json()["detail"] == str(ERRORS[Overloaded][1]).replace("4096", "3")
        assert time.monotonic() - started < 2
        assert httpx.get(f"{url}/health/live").status_code == 200
        work.release()
        assert [each.result().status_code for each in waiting] == [201] * 3
    assert httpx.post(f"{url}/adapt", json=body()).status_code == 201


def test_a_queue_can_be_full_by_bytes(slow: tuple[str, Work]) -> None:
    url, work = slow
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(httpx.post, f"{url}/adapt", json=body(examples(300)))
        work.until_submitted(2)
        response = httpx.post(f"{url}/adapt", json=body(examples(300)))
        assert response.status_code == 503
        assert response.json()["detail"] == (
            "The queue is full (at most 4000 bytes of waiting requests, INNERLOOP_MAX_WAITING_BYTES): try again in a "
            "second"
        )
        assert response.headers["retry-after"] == "1"
        work.release()
        assert waiting.result().status_code == 201


def test_requests_past_their_deadline_leave_the_queue(slow: tuple[str, Work]) -> None:
    url, work = slow
    for _ in range(10):
        assert post_with_deadline(httpx, f"{url}/adapt", 20, body()).status_code == 504
    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(httpx.post, f"{url}/adapt", json=body()) for _ in range(3)]
        work.until_submitted(14)
        work.release()
        assert [each.result().status_code for each in waiting] == [201] * 3
    assert len(work.tasks) == 4


def raw_request(path: str, payload: Any) -> bytes:
    content = orjson.dumps(payload)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


@pytest.mark.parametrize("at_once", [True, False])
def test_a_client_that_disconnected_costs_no_work(slow: tuple[str, Work], at_once: bool) -> None:
    url, work = slow
    address = ("127.0.0.1", httpx.URL(url).port or 0)
    request = raw_request("/adapt", body(examples(7)))
    with socket.create_connection(address) as leaving, socket.create_connection(address) as staying:
        for connection in (leaving, staying):
            if at_once:
                connection.sendall(request)
            else:
                connection.sendall(request[:-5])
                time.sleep(0.1)
                connection.sendall(request[-5:])
        work.until_submitted(3)
        disconnect(leaving)
        work.release()
        assert staying.recv(100).startswith(b"HTTP/1.1 201")
    wait_until(lambda: count_adaptations(url) == 2, "the adaptation of the staying client is not stored", 10)
    assert [len(task.inputs) for task in work.tasks] == [5, 7], "only the staying client's task has run"


def test_shutting_down_finishes_accepted_requests(tmp_path: Path) -> None:
    """SIGTERM during many requests: each is answered 201, and its adaptation is there after the next start."""
    settings = {"compile": False, "state_dir": tmp_path, "shutdown_s": 100}
    long = body(examples(900), steps=10)
    sent: list[str] = []

    def trace(event: str, _: object) -> None:
        if event == "http11.send_request_body.complete":
            sent.append(event)

    with starting_fork([command("innerloop"), "serve"], tmp_path / "log", **settings) as (url, process):
        with (
            ThreadPoolExecutor(40) as threads,
            httpx.Client(timeout=60, limits=httpx.Limits(max_connections=40)) as client,
        ):
            post = partial(client.post, f"{url}/adapt", json=long, extensions={"trace": trace})
            futures = [threads.submit(post) for _ in range(40)]
            wait_until(lambda: len(sent) == 40, "not all requests are sent", 60)
            # the server accepts this connection after those of the 40 requests, so it has begun to read those by then
            httpx.get(f"{url}/health/live", timeout=60).raise_for_status()
            os.kill(process.pid, signal.SIGTERM)
            responses: list[Any] = []
            for future in futures:
                try:
                    responses.append(future.result())
                except httpx.TransportError as error:
                    responses.append(error)
        assert process.wait(110) == 0
    statuses = [
        response.status_code if isinstance(response, httpx.Response) else type(response).__name__
        for response in responses
    ]
    assert statuses == [201] * 40
    with starting_fork([command("innerloop"), "serve"], tmp_path / "log", **settings) as (url, _):
        adaptations = httpx.get(f"{url}/adaptations").json()["adaptations"]
        assert {adaptation["adaptation_id"] for adaptation in adaptations} == {
            response.json()["adaptation_id"] for response in responses
        }
