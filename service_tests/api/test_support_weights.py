"""`weights` of a support set: 0 equals leaving an example out, 2 giving it twice, through the life of an adaptation."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from fastapi.testclient import TestClient

from service_tests.api.requests import (
    QUERIES,
    WAVE,
    adapt,
    assert_same,
    body,
    examples,
    fresh_predictions,
    predictions,
)

WEIGHTS = [1, 0, 2, 0.5, 1]
WEIGHTED: dict[str, Any] = WAVE | {"weights": WEIGHTS}
ONE_TWICE = {"inputs": [[-4], [0.5], [0.5], [4]], "targets": [3.03, 1.92, 1.92, -3.03]}
"""`WAVE` with the weights 1, 0, 2, 0 and 1."""


def refusal(client: TestClient, support: Any, **fields: Any) -> tuple[str, str]:
    response = client.post("/adapt", json=body(support, **fields))
    assert response.status_code == 422, response.text
    return response.json()["place"], response.json()["detail"]


@pytest.mark.parametrize("model", ["sinusoid", "sinusoid-bayes"])
def test_weights_equal_copies(client: TestClient, model: str) -> None:
    weighted = adapt(client, WAVE | {"weights": [1, 0, 2, 0, 1]}, model=model)
    copies = adapt(client, ONE_TWICE, model=model)
    assert (weighted["support_size"], weighted["examples"]) == (5, [0, 1, 2, 3, 4])
    np.testing.assert_allclose(weighted["losses"], copies["losses"], rtol=1e-4, atol=1e-5)
    assert_same(*(predictions(client, each["adaptation_id"]) for each in (weighted, copies)))


def test_weights_of_1_are_no_weights(client: TestClient) -> None:
    plain = adapt(client, reuse=True)
    assert adapt(client, WAVE | {"weights": [1] * 5}, reuse=True)["adaptation_id"] == plain["adaptation_id"]
    assert adapt(client, WEIGHTED, reuse=True)["adaptation_id"] != plain["adaptation_id"]
    assert "weights" not in client.get(f"/adaptations/{plain['adaptation_id']}/support").json()


@pytest.mark.parametrize(
    ("weights", "place", "detail"),
    [
        ([1, 1], "weights", "expected as many weights as examples (5), got 2"),
        ([1, 1, -0.5, 1, 1], "weights[2]", "expected a number of at least 0, got -0.5"),
        ([0, 0, 0, 0, 0], "weights", "expected at least 1 weight above 0, got none: 0 leaves an example out"),
        ([1, 1, 1, 1, 1e39], "weights[4]", "expected a finite float32 number, got 1e+39"),
        ([1, 1, 1, 2e38, 2e38], "weights", "expected weights whose sum is a finite float32 number"),
        ([1e-40] * 5, "weights", "expected weights whose sum is at least 1e-30, got 5e-40: scale the weights"),
        ([1.99999e-31] * 5, "weights", "expected weights whose sum is at least 1e-30, got 9.9999"),
        ([1, 1, True, 1, 1], "weights[2]", "expected a number, got true"),
        ([1, 1, "1", 1, 1], "weights[2]", "expected a number, got a string"),
        ([], "weights", "expected at least 1 element, got 0"),
        (None, "weights", "got null"),
    ],
)
def test_bad_weights_are_refused(client: TestClient, weights: Any, place: str, detail: str) -> None:
    where, text = refusal(client, WAVE | {"weights": weights})
    assert where == f"support.{place}"
    assert detail in text


def test_labels_are_for_classes_only(client: TestClient) -> None:
    place, detail = refusal(client, WAVE | {"labels": [1, 2]})
    assert (place, detail[-22:]) == ("support", "labels: leave labels out"[-22:])


def test_the_life_of_an_adaptation_with_weights(serve: Callable[..., TestClient], tmp_path: Path) -> None:
    """Extended, forgotten, undone, and after a restart: always as adapting afresh."""
    client = serve(store="sqlite", state_dir=tmp_path)
    made = adapt(client, WEIGHTED)["adaptation_id"]
    more: dict[str, Any] = {"inputs": [[3], [-3]], "targets": [0.56, -0.56], "weights": [3, 0]}
    extended = client.post(f"/adaptations/{made}/support", json=more)
    assert extended.status_code == 200, extended.text
    whole: dict[str, Any] = {key: WEIGHTED[key] + more[key] for key in WEIGHTED}
    assert_same(predictions(client, made), fresh_predictions(client, whole))
    stored = client.get(f"/adaptations/{made}/support").json()
    assert stored["weights"] == [*WEIGHTS, 3, 0]
    assert_same(predictions(client, made), fresh_predictions(client, {key: stored[key] for key in whole}))
    assert client.delete(f"/adaptations/{made}/support/2").status_code == 200
    rest = {key: [value for index, value in enumerate(whole[key]) if index != 2] for key in whole}
    assert_same(predictions(client, made), fresh_predictions(client, rest))
    client.__exit__(None, None, None)
    client.portal = None
    client = serve(store="sqlite", state_dir=tmp_path)
    assert_same(predictions(client, made), fresh_predictions(client, rest))
    assert client.post(f"/adaptations/{made}/undo").status_code == 200
    first = {key: rest[key][:4] for key in rest}
    assert_same(predictions(client, made), fresh_predictions(client, first))


def test_an_extension_without_weights_counts_once(client: TestClient) -> None:
    made = adapt(client, WEIGHTED)["adaptation_id"]
    client.post(f"/adaptations/{made}/support", json={"inputs": [[3]], "targets": [0.56]})
    assert client.get(f"/adaptations/{made}/support").json()["weights"] == [*WEIGHTS, 1]


def test_the_last_example_that_counts_cannot_be_forgotten(client: TestClient) -> None:
    made = adapt(client, {"inputs": [[1], [2]], "targets": [1, 2], "weights": [0, 1]})["adaptation_id"]
    response = client.delete(f"/adaptations/{made}/support/1")
    assert response.status_code == 409
    assert "the only one whose weight is above 0" in response.json()["detail"]
    assert client.delete(f"/adaptations/{made}/support/0").status_code == 200


def test_undo_leaves_an_example_that_counts(client: TestClient) -> None:
    made = adapt(client, {"inputs": [[1], [2]], "targets": [1, 2], "weights": [0, 1]})["adaptation_id"]
    client.post(f"/adaptations/{made}/support", json={"inputs": [[3]], "targets": [0.56]})
    assert client.delete(f"/adaptations/{made}/support/1").status_code == 200
    assert client.post(f"/adaptations/{made}/undo").status_code == 409


def test_raw_arrays_lines_and_events_have_weights(client: TestClient) -> None:
    expected = np.array(client.post("/predict", json=body(WEIGHTED, queries=QUERIES)).json()["predictions"])

    def raw(rows: Any, dtype: str) -> dict[str, Any]:
        array = np.array(rows, dtype)
        return {"shape": list(array.shape), "data": array.tobytes(), "dtype": dtype}

    for dtype in ("float32", "float64", "float16"):
        packed = msgspec.msgpack.encode(body(WAVE | {"weights": raw(WEIGHTS, dtype)}, queries=QUERIES))
        answer = client.post("/predict", content=packed, headers={"content-type": "application/msgpack"})
        numbers = msgspec.msgpack.decode(answer.content)["predictions"]
        assert_same(np.frombuffer(numbers["data"], "<f4").reshape(4, 1), expected)
    lines = "\n".join(json.dumps(body(each, queries=QUERIES)) for each in (WEIGHTED, WAVE))
    answers = client.post("/predict", content=lines, headers={"content-type": "application/x-ndjson"}).text.splitlines()
    assert_same(np.array(json.loads(answers[0])["predictions"]), expected)
    events = client.post("/adapt", json=body(WEIGHTED), headers={"accept": "text/event-stream"}).text
    losses = json.loads(events.rpartition("data: ")[2])["losses"]
    np.testing.assert_allclose(losses, adapt(client, WEIGHTED)["losses"], rtol=1e-5)


def test_a_large_body_has_weights(client: TestClient) -> None:
    """Another process decodes it."""
    many = examples(4000)
    weights = [index % 3 for index in range(4000)]
    answers = [client.post("/predict", json=body(many | more, queries=QUERIES)) for more in ({}, {"weights": weights})]
    assert [each.status_code for each in answers] == [200, 200]
    copies = {key: [v for index, v in enumerate(many[key]) for _ in range(weights[index])] for key in many}
    expected = client.post("/predict", json=body(copies, queries=QUERIES)).json()
    np.testing.assert_allclose(answers[1].json()["predictions"], expected["predictions"], rtol=1e-4, atol=1e-4)


def test_a_key_tells_weights_apart(client: TestClient) -> None:
    headers = {"Idempotency-Key": "once"}
    first = client.post("/adapt", json=body(WEIGHTED), headers=headers).json()
    assert client.post("/adapt", json=body(WEIGHTED), headers=headers).json() == first
    assert client.post("/adapt", json=body(), headers=headers).status_code == 422
    path = f"/adaptations/{first['adaptation_id']}/support"
    more = {"inputs": [[3]], "targets": [0.56], "weights": [2]}
    assert client.post(path, json=more, headers=headers).json()["support_size"] == 6
    assert client.post(path, json=more, headers=headers).json()["support_size"] == 6
    assert client.post(path, json=more | {"weights": [3]}, headers=headers).status_code == 422


def test_an_assessment_keeps_the_posted_positions(client: TestClient) -> None:
    quality = adapt(client, WEIGHTED, assess="leave_one_out")["quality"]
    assert (quality["folds"], quality["errors"][1]) == (4, None)
    assert quality["errors"][quality["worst_example"]] == max(error for error in quality["errors"] if error is not None)


WIDTHS = (((2.0, 3.0),), ((0.5, 1.0),), ((0.25, 0.5),))


def test_intervals_count_weights_and_the_initialization(serve: Callable[..., TestClient], own_models: Path) -> None:
    """Zero support examples are calibrated, so `model` alone has an interval."""
    from app.bundles.folder import load, write
    from app.learn.calibration_table import Calibration

    old = load(own_models / "sinusoid")
    calibration = Calibration(tasks=1, shots=(0, 5, 10), levels=(0.8, 0.95), half_widths=WIDTHS)
    write(own_models / "sinusoid", dataclasses.replace(old.manifest, calibration=calibration), old.meta)
    client = serve(models_dir=own_models)

    def half_width(**fields: Any) -> float:
        answer = client.post("/predict", json={"model": "sinusoid", "queries": [[1]], "interval": 0.8} | fields).json()
        return float(answer["upper"][0][0] - answer["lower"][0][0]) / 2

    assert half_width() == pytest.approx(2, rel=1e-4)
    assert half_width(support=WAVE) == pytest.approx(0.5, rel=1e-4)
    assert half_width(support=WAVE | {"weights": [2] * 5}) == pytest.approx(0.25, rel=1e-4)
    assert 0.5 < half_width(support=WAVE | {"weights": [0, 0, 1, 1, 1]}) < 2
    assert half_width(support=WAVE | {"weights": [0.01] * 5}) == pytest.approx(2, rel=0.1)


def test_policies_have_no_weights(client: TestClient) -> None:
    episode = {"observations": [[0, 0]], "actions": [[0, 0]]}
    support = {"episodes": [episode], "weights": [1]}
    place, detail = refusal(client, support, model="navigation")
    assert place == "support"
    assert detail.endswith("leave weights out")
