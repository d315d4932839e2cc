"""DELETE /adaptations/{id}/support/{example}: as if it had never been posted, for good."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from service_tests.api.ask import WAVE, adapt, afresh, assert_same, predictions, support_of

MORE = {"inputs": [[3], [-3]], "targets": [0.56, -0.56]}
SECRET = 1.2345678


def without(support: dict[str, list[Any]], index: int) -> dict[str, list[Any]]:
    return {key: rows[:index] + rows[index + 1 :] for key, rows in support.items()}


@pytest.mark.parametrize("store", ["memory", "sqlite"])
@pytest.mark.parametrize("example", [0, 2, 4])
def test_it_equals_adapting_without_it(
    serve: Callable[..., TestClient], store: str, example: int, tmp_path: Path
) -> None:
    client = serve(store=store, state_dir=tmp_path)
    made = adapt(client)
    it = made["adaptation_id"]
    response = client.delete(f"/adaptations/{it}/support/{example}")
    assert response.status_code == 200
    forgot = response.json()
    assert forgot["adaptation_id"] == it
    assert forgot["revision"] == 2
    assert forgot["examples"] == [number for number in range(5) if number != example]
    rest = without(WAVE, example)
    assert forgot["losses"] == pytest.approx(adapt(client, rest)["losses"], rel=1e-5)
    assert_same(predictions(client, it), afresh(client, rest))
    assert support_of(client, it)["inputs"] == rest["inputs"]


def test_numbers_are_never_given_again(client: TestClient) -> None:
    it = adapt(client)["adaptation_id"]
    client.delete(f"/adaptations/{it}/support/4")
    extended = client.post(f"/adaptations/{it}/support", json=MORE).json()
    assert extended["examples"] == [0, 1, 2, 3, 5, 6]
    assert client.post(f"/adaptations/{it}/undo").json()["examples"] == [0, 1, 2, 3]
    assert client.post(f"/adaptations/{it}/support", json=MORE).json()["examples"] == [0, 1, 2, 3, 7, 8]


def test_undo_does_not_bring_it_back(client: TestClient) -> None:
    support: dict[str, list[Any]] = {"inputs": [[SECRET], [0.5], [2]], "targets": [0.93, 0.47, 0.9]}
    it = adapt(client, support)["adaptation_id"]
    client.post(f"/adaptations/{it}/support", json={"inputs": [[SECRET], [3]], "targets": [0.93, 0.14]})
    for example in (0, 3):
        client.delete(f"/adaptations/{it}/support/{example}")
    everything = [client.get(f"/adaptations/{it}{part}").text for part in ("", "/history", "/support")]
    undone = client.post(f"/adaptations/{it}/undo").json()
    assert undone["examples"] == [1, 2]
    assert client.post(f"/adaptations/{it}/undo").status_code == 409
    everything += [client.get(f"/adaptations/{it}{part}").text for part in ("", "/history", "/support")]
    assert "1.2345" not in "".join(everything)
    assert_same(predictions(client, it), afresh(client, without(support, 0)))


def test_nothing_of_it_is_left_in_the_file(serve: Callable[..., TestClient], tmp_path: Path) -> None:
    client = serve(store="sqlite", state_dir=tmp_path)
    it = adapt(client, {"inputs": [[SECRET], [0.5], [2]], "targets": [0.93, 0.47, 0.9]})["adaptation_id"]
    other = adapt(client)["adaptation_id"]
    secret = np.float32(SECRET).tobytes()

    def kept() -> bool:
        return any(secret in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())

    assert kept()
    client.delete(f"/adaptations/{it}/support/0")
    assert not kept()
    assert client.get(f"/adaptations/{other}").status_code == 200


def test_the_last_example_stays(client: TestClient) -> None:
    it = adapt(client, {"inputs": [[1], [2]], "targets": [0.8, 0.9]})["adaptation_id"]
    assert client.delete(f"/adaptations/{it}/support/0").status_code == 200
    response = client.delete(f"/adaptations/{it}/support/1")
    assert response.status_code == 409
    assert response.json()["type"] == "urn:problem-type:innerloop:last-example"
    assert client.get(f"/adaptations/{it}").json()["examples"] == [1]


@pytest.mark.parametrize("number", ["5", "7", "99999999999999999999999999"])
def test_an_unknown_example(client: TestClient, number: str) -> None:
    it = adapt(client)["adaptation_id"]
    response = client.delete(f"/adaptations/{it}/support/{number}")
    assert response.status_code == 404
    assert response.json()["type"] == "urn:problem-type:innerloop:unknown-example"


def test_an_example_is_forgotten_once(client: TestClient) -> None:
    it = adapt(client)["adaptation_id"]
    assert client.delete(f"/adaptations/{it}/support/1").status_code == 200
    assert client.delete(f"/adaptations/{it}/support/1").status_code == 404


@pytest.mark.parametrize("number", ["x", "-1", "1.5"])
def test_what_is_no_number(client: TestClient, number: str) -> None:
    it = adapt(client)["adaptation_id"]
    response = client.delete(f"/adaptations/{it}/support/{number}")
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"


def test_an_unknown_adaptation(client: TestClient) -> None:
    response = client.delete("/adaptations/nothing/support/0")
    assert response.status_code == 404
    assert response.json()["type"] == "urn:problem-type:innerloop:unknown-adaptation"


def test_it_is_forgotten_also_where_the_rest_diverges(client: TestClient) -> None:
    """One example far outside is outweighed by three ordinary ones, and by one it is not."""
    far, near = ([20.0], 20.0), ([0.1], 0.1)
    support = {"inputs": [far[0], near[0], near[0], near[0]], "targets": [far[1], near[1], near[1], near[1]]}
    rest = {"inputs": [far[0], near[0]], "targets": [far[1], near[1]]}
    assert client.post("/adapt", json={"model": "sinusoid", "support": rest}).status_code == 422
    it = adapt(client, support)["adaptation_id"]
    client.delete(f"/adaptations/{it}/support/3")
    response = client.delete(f"/adaptations/{it}/support/2")
    assert response.status_code == 200
    assert response.json()["status"] in ("diverged", "not_finite")
    assert response.json()["examples"] == [0, 1]
    asked = client.post("/predict", json={"adaptation_id": it, "queries": [[1]]})
    assert asked.status_code == 422
    assert asked.json()["type"] == "urn:problem-type:innerloop:diverged"
    assert client.get(f"/adaptations/{it}/weights").status_code == 422
    assert support_of(client, it)["inputs"] == [[20], [pytest.approx(0.1)]]

    assert client.delete(f"/adaptations/{it}/support/0").json()["status"] in ("improved", "no_progress")
    assert_same(predictions(client, it), afresh(client, {"inputs": [[0.1]], "targets": [0.1]}))
