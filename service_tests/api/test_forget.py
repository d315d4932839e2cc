"""DELETE /adaptations/{id}/support/{example}: as if the example had never been posted, and for good."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from service_tests.api.requests import WAVE, adapt, assert_same, fresh_predictions, get_support, predictions

MORE = {"inputs": [[3], [-3]], "targets": [0.56, -0.56]}
SECRET = 1.2345678


def without(support: dict[str, list[Any]], index: int) -> dict[str, list[Any]]:
    return {key: rows[:index] + rows[index + 1 :] for key, rows in support.items()}


@pytest.mark.parametrize("store", ["memory", "sqlite"])
@pytest.mark.parametrize("example", [0, 2, 4])
def test_forgetting_an_example_equals_adapting_without_it(
    serve: Callable[..., TestClient], store: str, example: int, tmp_path: Path
) -> None:
    client = serve(store=store, state_dir=tmp_path)
    adaptation = adapt(client)
    adaptation_id = adaptation["adaptation_id"]
    response = client.delete(f"/adaptations/{adaptation_id}/support/{example}")
    assert response.status_code == 200
    answer = response.json()
    assert answer["adaptation_id"] == adaptation_id
    assert answer["revision"] == 2
    assert answer["examples"] == [number for number in range(5) if number != example]
    rest = without(WAVE, example)
    assert answer["losses"] == pytest.approx(adapt(client, rest)["losses"], rel=1e-5)
    assert_same(predictions(client, adaptation_id), fresh_predictions(client, rest))
    assert get_support(client, adaptation_id)["inputs"] == rest["inputs"]


def test_example_numbers_are_never_reused(client: TestClient) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    client.delete(f"/adaptations/{adaptation_id}/support/4")
    extended = client.post(f"/adaptations/{adaptation_id}/support", json=MORE).json()
    assert extended["examples"] == [0, 1, 2, 3, 5, 6]
    assert client.post(f"/adaptations/{adaptation_id}/undo").json()["examples"] == [0, 1, 2, 3]
    assert client.post(f"/adaptations/{adaptation_id}/support", json=MORE).json()["examples"] == [0, 1, 2, 3, 7, 8]


def test_undo_does_not_bring_back_a_forgotten_example(client: TestClient) -> None:
    support: dict[str, list[Any]] = {"inputs": [[SECRET], [0.5], [2]], "targets": [0.93, 0.47, 0.9]}
    adaptation_id = adapt(client, support)["adaptation_id"]
    client.post(f"/adaptations/{adaptation_id}/support", json={"inputs": [[SECRET], [3]], "targets": [0.93, 0.14]})
    for example in (0, 3):
        client.delete(f"/adaptations/{adaptation_id}/support/{example}")
    answers = [client.get(f"/adaptations/{adaptation_id}{part}").text for part in ("", "/history", "/support")]
    undone = client.post(f"/adaptations/{adaptation_id}/undo").json()
    assert undone["examples"] == [1, 2]
    assert client.post(f"/adaptations/{adaptation_id}/undo").status_code == 409
    answers += [client.get(f"/adaptations/{adaptation_id}{part}").text for part in ("", "/history", "/support")]
    assert "1.2345" not in "".join(answers)
    assert_same(predictions(client, adaptation_id), fresh_predictions(client, without(support, 0)))


def test_a_forgotten_example_is_erased_from_the_file(serve: Callable[..., TestClient], tmp_path: Path) -> None:
    client = serve(store="sqlite", state_dir=tmp_path)
    adaptation_id = adapt(client, {"inputs": [[SECRET], [0.5], [2]], "targets": [0.93, 0.47, 0.9]})["adaptation_id"]
    other = adapt(client)["adaptation_id"]
    secret = np.float32(SECRET).tobytes()

    def on_disk() -> bool:
        return any(secret in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())

    assert on_disk()
    client.delete(f"/adaptations/{adaptation_id}/support/0")
    assert not on_disk()
    assert client.get(f"/adaptations/{other}").status_code == 200


def test_the_last_example_cannot_be_forgotten(client: TestClient) -> None:
    adaptation_id = adapt(client, {"inputs": [[1], [2]], "targets": [0.8, 0.9]})["adaptation_id"]
    assert client.delete(f"/adaptations/{adaptation_id}/support/0").status_code == 200
    response = client.delete(f"/adaptations/{adaptation_id}/support/1")
    assert response.status_code == 409
    assert response.json()["type"] == "urn:problem-type:innerloop:last-example"
    assert client.get(f"/adaptations/{adaptation_id}").json()["examples"] == [1]


@pytest.mark.parametrize("number", ["5", "7", "99999999999999999999999999"])
def test_an_unknown_example_gets_404(client: TestClient, number: str) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    response = client.delete(f"/adaptations/{adaptation_id}/support/{number}")
    assert response.status_code == 404
    assert response.json()["type"] == "urn:problem-type:innerloop:unknown-example"


def test_an_example_is_forgotten_once(client: TestClient) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    assert client.delete(f"/adaptations/{adaptation_id}/support/1").status_code == 200
    assert client.delete(f"/adaptations/{adaptation_id}/support/1").status_code == 404


@pytest.mark.parametrize("number", ["x", "-1", "1.5"])
def test_an_invalid_example_number_is_refused(client: TestClient, number: str) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    response = client.delete(f"/adaptations/{adaptation_id}/support/{number}")
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"


def test_an_unknown_adaptation_gets_404(client: TestClient) -> None:
    response = client.delete("/adaptations/nothing/support/0")
    assert response.status_code == 404
    assert response.json()["type"] == "urn:problem-type:innerloop:unknown-adaptation"


def test_an_example_is_forgotten_even_if_the_rest_diverges(client: TestClient) -> None:
    """Three ordinary examples outweigh one far outside; a single ordinary example does not."""
    far, near = ([20.0], 20.0), ([0.1], 0.1)
    support = {"inputs": [far[0], near[0], near[0], near[0]], "targets": [far[1], near[1], near[1], near[1]]}
    rest = {"inputs": [far[0], near[0]], "targets": [far[1], near[1]]}
    assert client.post("/adapt", json={"model": "sinusoid", "support": rest}).status_code == 422
    adaptation_id = adapt(client, support)["adaptation_id"]
    client.delete(f"/adaptations/{adaptation_id}/support/3")
    response = client.delete(f"/adaptations/{adaptation_id}/support/2")
    assert response.status_code == 200
    assert response.json()["status"] in ("diverged", "not_finite")
    assert response.json()["examples"] == [0, 1]
    prediction = client.post("/predict", json={"adaptation_id": adaptation_id, "queries": [[1]]})
    assert prediction.status_code == 422
    assert prediction.json()["type"] == "urn:problem-type:innerloop:diverged"
    assert client.get(f"/adaptations/{adaptation_id}/weights").status_code == 422
    assert get_support(client, adaptation_id)["inputs"] == [[20], [pytest.approx(0.1)]]

    assert client.delete(f"/adaptations/{adaptation_id}/support/0").json()["status"] in ("improved", "no_progress")
    assert_same(predictions(client, adaptation_id), fresh_predictions(client, {"inputs": [[0.1]], "targets": [0.1]}))
