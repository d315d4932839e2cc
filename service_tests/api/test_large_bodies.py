"""Large bodies are decoded by a process of their own, and answered as small ones are."""

import json
import os
import signal
from typing import Any

import msgspec
import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.api import body_decoding_process
from app.api.codec import JSON, respond
from app.api.large_bodies import SMALL, LargeBodies
from app.api.schemas import AdaptRequest, PredictRequest
from app.errors import Overloaded

EPISODE = {"observations": [[0.0, 0.5]] * 3, "actions": [[0.1, 0.1]] * 3, "rewards": [1.0, 2.0, 3.0]}
PADDING = " " * SMALL


def large(body: Any) -> bytes:
    """The same body, so long that the process decodes it."""
    return (json.dumps(body) + PADDING).encode()


def post(client: TestClient, path: str, content: bytes, media: str = "application/json") -> Any:
    return client.post(path, content=content, headers={"Content-Type": media})


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "sinusoid", "queries": [[0.1], [0.2]]},
        {"model": "sinusoid", "queries": [[0.1], [0.2, 0.3]]},
        {"model": "sinusoid", "queries": [[0.1], ["0.2"]]},
        {"model": "sinusoid", "queries": [[0.1]], "quries": 1},
        {"model": "nope", "queries": [[0.1]]},
        {"model": "linear", "support": {"inputs": [[0.1], [1]], "targets": [0.3, 1]}, "queries": [[1e300]]},
        {"model": "navigation", "support": {"episodes": [EPISODE, EPISODE]}, "queries": [[0.1, 0.2]]},
        {"model": "omniglot", "support": {"inputs": [[0.5] * 784], "targets": ["a"]}, "queries": [[0.5] * 784]},
    ],
)
def test_a_large_body_is_answered_as_a_small_one(client: TestClient, fields: dict[str, Any]) -> None:
    small, answer = client.post("/predict", json=fields), post(client, "/predict", large(fields))
    assert answer.status_code == small.status_code
    if small.is_success:
        assert answer.json() == small.json()
    else:
        assert answer.json()["place"] == small.json()["place"]


def test_a_large_body_with_rows_of_another_width_is_refused_at_the_rows(client: TestClient) -> None:
    answer = post(client, "/predict", large({"model": "sinusoid", "queries": [[0.1, 0.2]] * 3}))
    assert answer.status_code == 422
    assert answer.json()["detail"] == "queries[0]: expected 1 number, got 2: send 1 number in each row"


@pytest.mark.parametrize(
    "fields",
    [
        {"queries": [[2 * 10**19]]},
        {"queries": [[0.5]], "support": {"inputs": [[1]], "targets": [10**30]}},
        {"queries": [[0.5]], "steps": 10**30},
    ],
)
def test_whole_numbers_of_more_than_64_bits_are_refused_in_large_bodies(
    client: TestClient, fields: dict[str, Any]
) -> None:
    answer = post(client, "/predict", large({"model": "sinusoid"} | fields))
    assert answer.status_code == 422
    assert answer.json()["detail"] == (
        "body: expected whole numbers of at most 64 bits in a large body, got a larger one: "
        "write larger numbers with an exponent, such as 1e30, and larger labels as strings"
    )


@pytest.mark.parametrize("targets", [[2 * 10**19, 0.5], [[2 * 10**19], [0.5]], [2 * 10**19, [0.5]]])
def test_they_are_numbers_in_small_bodies(client: TestClient, targets: list[Any]) -> None:
    def answer(values: list[Any]) -> Any:
        support = {"inputs": [[0], [1]], "targets": values}
        return client.post("/predict", json={"model": "sinusoid-bayes", "support": support, "queries": [[0.5]]}).json()

    assert answer(targets) == answer([2e19, 0.5])
    refused = client.post("/adapt", json={"model": "linear", "support": {"inputs": [[0]], "targets": [10**400]}})
    assert refused.status_code == 422
    assert refused.json()["place"] == "support.targets[0][0]"


@pytest.mark.parametrize("depth", [5, 6, 34, 66])
def test_a_deep_body_is_refused_at_the_rows(client: TestClient, depth: int) -> None:
    nested = json.loads("[" * depth + "1" + "]" * depth)
    bodies = {
        "queries[0]": ("/predict", {"model": "sinusoid", "queries": [nested] * 2}),
        "support.inputs[0]": ("/adapt", {"model": "sinusoid", "support": {"inputs": [nested], "targets": [1]}}),
        "support.targets[0][0]": ("/adapt", {"model": "sinusoid", "support": {"inputs": [[1]], "targets": [nested]}}),
        "support.episodes[0].observations[0]": (
            "/adapt",
            {"model": "navigation", "support": {"episodes": [{"observations": [nested], "actions": [[0, 0]]}]}},
        ),
    }
    for place, (path, body) in bodies.items():
        for content in (json.dumps(body).encode(), large(body)):
            answer = post(client, path, content)
            assert answer.status_code == 422
            assert answer.json()["place"] == place


def test_a_large_body_that_is_cut_off_says_so(client: TestClient) -> None:
    answer = post(client, "/adapt", b'{"model": "sinusoid", "label": "' + b"x" * SMALL)
    assert answer.status_code == 400
    assert "complete JSON" in answer.json()["detail"]


def test_large_bodies_adapt_and_extend(client: TestClient) -> None:
    support = {"inputs": [[0.1], [1.2]], "targets": [0.3, 0.9]}
    adapted = post(client, "/adapt", large({"model": "sinusoid", "support": support}))
    assert adapted.status_code == 201
    path = f"/adaptations/{adapted.json()['adaptation_id']}/support"
    extended = post(client, path, large(support))
    assert extended.json()["support_size"] == 4
    assert client.get(path).json()["inputs"] == [[0.1], [1.2]] * 2


def test_a_large_msgpack_body_of_raw_arrays(client: TestClient) -> None:
    queries = np.linspace(-5, 5, 30_000, dtype=np.float32)
    raw = {"shape": [30_000, 1], "data": queries.tobytes(), "dtype": "float32"}
    answer = post(
        client, "/predict", msgspec.msgpack.encode({"model": "sinusoid", "queries": raw}), "application/msgpack"
    )
    predictions = msgspec.msgpack.decode(answer.content)["predictions"]
    some = client.post("/predict", json={"model": "sinusoid", "queries": [[float(queries[29_999])]]}).json()
    assert predictions["shape"] == [30_000, 1]
    assert np.frombuffer(predictions["data"], np.float32)[-1] == pytest.approx(some["predictions"][0][0], abs=1e-4)


def test_an_answer_with_many_numbers_is_the_same_in_parts(client: TestClient) -> None:
    queries = np.linspace(-5, 5, 50_000).reshape(-1, 1).tolist()
    answer = post(client, "/predict", json.dumps({"model": "sinusoid", "queries": queries}).encode()).json()
    ends = client.post("/predict", json={"model": "sinusoid", "queries": [queries[0], queries[-1]]}).json()
    assert len(answer["predictions"]) == 50_000
    np.testing.assert_allclose(
        [answer["predictions"][0], answer["predictions"][-1]], ends["predictions"], rtol=1e-4, atol=1e-4
    )


def test_a_process_that_was_killed_is_started_again(client: TestClient) -> None:
    body = large({"model": "sinusoid", "queries": [[0.1]]})
    assert post(client, "/predict", body).is_success
    process = client.app.state.server.large_bodies._process  # type: ignore[attr-defined]
    os.kill(process.pid, signal.SIGKILL)
    answers = [post(client, "/predict", body).status_code for _ in range(3)]
    assert set(answers[:2]) <= {200, 503}
    assert answers[2] == 200


def test_numbers_become_raw_arrays_and_everything_else_stays() -> None:
    body = {"model": "m", "support": {"inputs": [[1, 2], [3, 4.5]], "targets": ["a", "b"]}, "steps": 3}
    outcome = body_decoding_process.decode(
        body_decoding_process.Job(JSON.media, "AdaptRequest", json.dumps(body).encode())
    )
    decoded = outcome.check().read(AdaptRequest)
    assert decoded.support.targets == ["a", "b"]
    assert decoded.support.inputs.shape == [2, 2]  # type: ignore[union-attr]
    uneven = json.dumps({"model": "m", "queries": [[1], [2, 3]]}).encode()
    outcome = body_decoding_process.decode(body_decoding_process.Job(JSON.media, "PredictRequest", uneven))
    assert outcome.check().read(PredictRequest).queries == [[1], [2, 3]]


@pytest.mark.parametrize(
    "count",
    [1, body_decoding_process.PART_ROWS, body_decoding_process.PART_ROWS + 1, 3 * body_decoding_process.PART_ROWS],
)
def test_long_lists_of_objects_and_labels_come_in_parts(count: int) -> None:
    rows = [{"age": index, "sex": "f"} for index in range(count)]
    support = {"rows": rows, "labels": [f"label {index}" for index in range(count)]}
    job = body_decoding_process.Job(JSON.media, "AdaptRequest", json.dumps({"model": "m", "support": support}).encode())
    outcome = body_decoding_process.decode(job).check()
    assert len(outcome.parts) == 2 * ((count - 1) // body_decoding_process.PART_ROWS)
    decoded = outcome.read(AdaptRequest).support
    assert (decoded.rows, decoded.labels) == (rows, support["labels"])


def test_an_object_with_very_many_columns_is_refused(client: TestClient) -> None:
    rows = [{"a": 1.5}, {f"column {index}": 1.5 for index in range(body_decoding_process.MAX_COLUMNS + 1)}]
    answer = post(client, "/predict", large({"model": "sinusoid", "queries": rows}))
    assert answer.status_code == 422
    assert answer.json()["detail"] == "queries[1]: expected at most 10,000 columns, got 10,001"


def test_bodies_that_are_read_take_so_many_bytes_together() -> None:
    class Request:
        pass

    bodies, first, second = LargeBodies(100), Request(), Request()
    bodies.reserve(first, 60)  # type: ignore[arg-type]
    with pytest.raises(Overloaded, match="100 bytes"):
        bodies.reserve(second, 60)  # type: ignore[arg-type]
    del first
    bodies.reserve(second, 60)  # type: ignore[arg-type]


def test_answers_that_are_not_read_yet_take_room() -> None:
    bodies = LargeBodies(1_000_000)
    first = bodies.hold(respond(b"a" * 600_000, 200, "text/plain"))
    bodies.hold(respond(b"a" * 600, 200, "text/plain"))
    with pytest.raises(Overloaded, match="INNERLOOP_MAX_WAITING_BYTES"):
        bodies.hold(respond(b"a" * 600_000, 200, "text/plain"))
    del first
    bodies.hold(respond(b"a" * 600_000, 200, "text/plain"))
