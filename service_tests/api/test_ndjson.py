"""application/x-ndjson: one request a line, one answer a line, in order."""

import json
import socket
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
from fastapi.testclient import TestClient

from service_tests.api.requests import QUERIES, WAVE, adapt, assert_same, body, examples, predictions
from service_tests.conftest import Work
from service_tests.processes import SHIPPED, disconnect


def post_lines(client: TestClient, path: str, lines: Sequence[Any], **headers: str) -> list[dict[str, Any]]:
    """Post lines and return their answers. Bytes are sent as they are, anything else as JSON."""
    content = b"\n".join(line if isinstance(line, bytes) else orjson.dumps(line) for line in lines)
    response = client.post(path, content=content, headers={"content-type": "application/x-ndjson"} | headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("application/x-ndjson")
    assert response.text.endswith("\n") or not response.text
    return [json.loads(line) for line in response.text.splitlines()]


def test_a_thousand_lines_in_one_call(client: TestClient) -> None:
    """More lines than may wait at once, and than one fused call takes, are still answered in order."""
    adaptations = post_lines(client, "/adapt", [body(examples(3, seed), label=str(seed)) for seed in range(1000)])
    assert [adaptation["label"] for adaptation in adaptations] == [str(seed) for seed in range(1000)]
    ids = [adaptation["adaptation_id"] for adaptation in adaptations]
    assert len(set(ids)) == 1000
    answers = post_lines(client, "/predict", [{"adaptation_id": each, "queries": QUERIES} for each in ids])
    assert [answer["adaptation_id"] for answer in answers] == ids
    for seed in (0, 255, 256, 999):
        alone = adapt(client, examples(3, seed))
        assert adaptations[seed]["losses"] == pytest.approx(alone["losses"], rel=1e-5)
        assert_same(np.array(answers[seed]["predictions"]), predictions(client, alone["adaptation_id"]))


def test_more_lines_than_may_wait_are_all_answered(serve: Callable[..., TestClient]) -> None:
    client = serve(max_waiting=20)
    answers = post_lines(client, "/adapt", [body(steps=0)] * 300)
    assert [each.get("status") for each in answers] == ["no_progress"] * 300


def test_a_bad_line_is_answered_in_its_place(client: TestClient) -> None:
    lines = [
        body(),
        b"{",
        body(steps=101),
        body(model="nothing"),
        b"\xff\xfe",
        body({"inputs": [[1e5]], "targets": [1e5]}),
        [],
        b"[" * 5000,
        body({"inputs": [[1, 2]], "targets": [1]}),
        body(),
    ]
    answers = post_lines(client, "/adapt", lines)
    assert [each["status"] for each in answers] == ["improved", 400, 422, 404, 400, 422, 422, 422, 422, "improved"]
    assert answers[2]["place"] == "steps"
    assert answers[3]["models"] == SHIPPED
    assert len(answers[5]["losses"]) == 6
    assert answers[8]["place"] == "support.inputs[0]"
    assert len(client.get("/adaptations").json()["adaptations"]) == 2


def test_unknown_ids_are_answered_in_their_place(client: TestClient) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    known, unknown = (
        {"adaptation_id": adaptation_id, "queries": QUERIES},
        {"adaptation_id": "nothing", "queries": QUERIES},
    )
    answers = post_lines(client, "/predict", [known, unknown, known])
    assert answers[1]["type"] == "urn:problem-type:innerloop:unknown-adaptation"
    assert answers[0] == answers[2]


def test_blank_lines_are_ignored(client: TestClient) -> None:
    assert len(post_lines(client, "/adapt", [b"", body(), b"   ", b"\r", orjson.dumps(body()) + b"\r", b"", b""])) == 2


@pytest.mark.parametrize("content", [b"", b"\n\n", b" \r\n"])
def test_a_body_without_lines_gets_no_answers(client: TestClient, content: bytes) -> None:
    for path in ("/adapt", "/predict"):
        assert post_lines(client, path, [content]) == []


def test_limits_apply_to_the_whole_body_and_to_each_line(serve: Callable[..., TestClient]) -> None:
    client = serve(max_body_bytes=20_000, max_support_examples=100)
    answers = post_lines(client, "/adapt", [body(examples(101)), body()])
    assert [each["status"] for each in answers] == [422, "improved"]
    headers = {"content-type": "application/x-ndjson"}
    response = client.post("/adapt", content=orjson.dumps(body(examples(2000))), headers=headers)
    assert response.status_code == 413
    many = b"\n".join([orjson.dumps(body())] * 300)
    assert client.post("/adapt", content=many, headers=headers).status_code == 413


def test_the_three_forms_of_predict(client: TestClient) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    by_id, at_once, initial = post_lines(
        client,
        "/predict",
        [
            {"adaptation_id": adaptation_id, "queries": QUERIES},
            {"model": "sinusoid", "support": WAVE, "queries": QUERIES},
            {"model": "sinusoid", "queries": QUERIES},
        ],
    )
    assert_same(np.array(by_id["predictions"]), np.array(at_once["predictions"]))
    assert initial["predictions"] != by_id["predictions"]


def test_a_repeat_gives_the_same_ids(client: TestClient) -> None:
    lines = [body(), body(), body(steps=3)]
    first = post_lines(client, "/adapt", lines, **{"idempotency-key": "k"})
    again = post_lines(client, "/adapt", [b"", *lines], **{"idempotency-key": "k"})
    assert again == first
    assert len({each["adaptation_id"] for each in first}) == 3
    changed = post_lines(client, "/adapt", [lines[0], lines[2], lines[2]], **{"idempotency-key": "k"})
    assert [each["status"] for each in changed] == ["improved", 422, "improved"]
    assert len(client.get("/adaptations").json()["adaptations"]) == 3


def test_the_key_of_a_line_does_not_collide_with_other_keys(client: TestClient) -> None:
    post_lines(client, "/adapt", [body()], **{"idempotency-key": "k"})
    for key in ("k", "k:0", "k0"):
        assert client.post("/adapt", json=body(steps=2), headers={"idempotency-key": key}).status_code == 201


def test_the_same_content_in_many_lines_is_one_adaptation(client: TestClient, work: Work) -> None:
    answers = post_lines(client, "/adapt", [body(reuse=True)] * 50)
    assert len({each["adaptation_id"] for each in answers}) == 1
    assert len(work.tasks) == 1


def test_a_deadline_applies_to_each_line(client: TestClient, work: Work) -> None:
    work.hold()
    answers = post_lines(client, "/adapt", [body()] * 3, **{"x-timeout-ms": "100"})
    assert [each["status"] for each in answers] == [504] * 3
    work.release()
    assert client.get("/adaptations").json() == {"adaptations": []}


def test_a_failure_of_the_server_is_answered_in_the_place_of_its_line(
    serve: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.service.model import Model

    adapt_many = Model.adapt

    def fails_on_13_steps(model: Model, tasks: Any) -> Any:
        if any(task.steps == 13 for task in tasks):
            raise ZeroDivisionError
        return adapt_many(model, tasks)

    monkeypatch.setattr(Model, "adapt", fails_on_13_steps)
    answers = post_lines(serve(), "/adapt", [body(), body(steps=13), body()])
    assert [each["status"] for each in answers] == ["improved", 500, "improved"]
    expected = "The server met an unexpected error: its log has the cause"
    assert answers[1]["detail"] == expected


def test_other_routes_refuse_ndjson(client: TestClient) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    headers = {"content-type": "application/x-ndjson"}
    assert client.post(f"/adaptations/{adaptation_id}/support", content=b"{}", headers=headers).status_code == 415


def test_disconnecting_cancels_the_remaining_lines(serve_live: Callable[..., str], work: Work) -> None:
    url = serve_live(max_waiting=20)
    work.hold()
    content = b"\n".join([orjson.dumps(body())] * 100)
    head = (
        f"POST /adapt HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: {len(content)}\r\n"
    )
    with socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0)) as connection:
        connection.sendall(f"{head}\r\n".encode() + content)
        work.until_waiting()
        work.let_through()
        assert connection.recv(100_000).startswith(b"HTTP/1.1 200")
        work.until_waiting(2)
        disconnect(connection)
    work.release()
    assert httpx.post(f"{url}/adapt", json=body()).status_code == 201
    assert len(work.tasks) < 50
