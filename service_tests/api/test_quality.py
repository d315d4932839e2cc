import math
from typing import Any

import pytest
from fastapi.testclient import TestClient

X = [-4.0, -3.1, -2.2, -1.5, -0.4, 0.6, 1.3, 2.1, 3.2, 4.3]
SUPPORT: dict[str, list[Any]] = {"inputs": [[x] for x in X], "targets": [4 * math.sin(x - 1) for x in X]}
ADAPT = {"model": "sinusoid", "support": SUPPORT, "assess": "leave_one_out"}


def test_adapt_and_get_return_the_quality(client: TestClient) -> None:
    answer = client.post("/adapt", json=ADAPT).json()
    quality = answer["quality"]
    assert quality.keys() == {
        "method",
        "folds",
        "error",
        "initial_error",
        "errors",
        "helped",
        "unlike_training",
        "worst_example",
        "message",
    }
    assert (quality["method"], quality["folds"], len(quality["errors"])) == ("leave_one_out", 10, 10)
    assert quality["helped"] is True
    assert quality["unlike_training"] is False
    assert quality["errors"][quality["worst_example"]] == max(quality["errors"])
    assert quality["message"].startswith("Adapting helps: the error on examples left out falls from ")
    assert client.get(f"/adaptations/{answer['adaptation_id']}").json()["quality"] == quality


def test_without_assess_there_is_no_quality(client: TestClient) -> None:
    answer = client.post("/adapt", json={"model": "sinusoid", "support": SUPPORT}).json()
    assert "quality" not in answer


def test_assess_does_not_change_the_losses(client: TestClient) -> None:
    assessed = client.post("/adapt", json=ADAPT).json()
    plain = client.post("/adapt", json={"model": "sinusoid", "support": SUPPORT}).json()
    assert assessed["losses"] == pytest.approx(plain["losses"], rel=1e-5, abs=1e-5)


def test_the_quality_is_gone_once_the_support_set_changes(client: TestClient) -> None:
    adaptation_id = client.post("/adapt", json=ADAPT).json()["adaptation_id"]
    response = client.post(f"/adaptations/{adaptation_id}/support", json={"inputs": [[1.0]], "targets": [0.0]})
    assert response.status_code == 200, response.text
    assert "quality" not in response.json()
    assert "quality" not in client.get(f"/adaptations/{adaptation_id}").json()


def test_one_example_cannot_be_assessed(client: TestClient) -> None:
    response = client.post("/adapt", json=ADAPT | {"support": {"inputs": [[1.0]], "targets": [1.0]}})
    assert response.status_code == 422
    assert response.json()["detail"] == (
        "support: expected at least 2 examples to assess, got 1: each is predicted from the others"
    )


def test_the_quality_names_the_method_that_was_used(client: TestClient) -> None:
    quality = client.post("/adapt", json=ADAPT | {"assess": "k_fold"}).json()["quality"]
    assert (quality["method"], quality["folds"]) == ("leave_one_out", 10)
    support = {name: rows * 7 for name, rows in SUPPORT.items()}
    quality = client.post("/adapt", json=ADAPT | {"support": support}).json()["quality"]
    assert (quality["method"], quality["folds"], len(quality["errors"])) == ("k_fold", 10, 70)


def test_inputs_beyond_those_of_training_are_unlike_training(client: TestClient) -> None:
    far = {"inputs": [[x + 20] for x in X], "targets": SUPPORT["targets"]}
    response = client.post("/adapt", json=ADAPT | {"support": far, "steps": 0})
    quality = response.json()["quality"]
    assert quality["unlike_training"] is True
    assert "inputs lie outside of the range of training" in quality["message"]


def test_an_unknown_method_is_refused(client: TestClient) -> None:
    response = client.post("/adapt", json=ADAPT | {"assess": "guess"})
    assert response.status_code == 422
    assert "assess" in response.json()["place"]
