import pytest
from fastapi.testclient import TestClient

SUPPORT = {"inputs": [[0.1], [1.2], [2.0]], "targets": [0.3, 0.9, 0.8]}
QUERIES = [[2.0], [4.0], [-1.0]]


def test_the_three_forms_of_predict(client: TestClient) -> None:
    adaptation = client.post("/adapt", json={"model": "sinusoid", "support": SUPPORT}).json()
    by_id = client.post("/predict", json={"adaptation_id": adaptation["adaptation_id"], "queries": QUERIES}).json()
    at_once = client.post("/predict", json={"model": "sinusoid", "support": SUPPORT, "queries": QUERIES}).json()
    initial = client.post("/predict", json={"model": "sinusoid", "queries": QUERIES}).json()

    assert by_id["adaptation_id"] == adaptation["adaptation_id"]
    assert by_id["model"] == at_once["model"] == initial["model"] == "sinusoid"
    assert by_id["model_digest"] == adaptation["model_digest"]
    assert at_once["losses"] == pytest.approx(adaptation["losses"], rel=1e-5)
    assert at_once["status"] == adaptation["status"]
    for one, two in zip(by_id["predictions"], at_once["predictions"], strict=True):
        assert one == pytest.approx(two, abs=1e-5)
    assert [len(row) for row in initial["predictions"]] == [1, 1, 1]
    assert initial["predictions"] != by_id["predictions"]
    assert "losses" not in initial
    assert "adaptation_id" not in at_once


def test_predicting_without_an_id_stores_nothing(client: TestClient) -> None:
    client.post("/predict", json={"model": "sinusoid", "support": SUPPORT, "queries": QUERIES})
    client.post("/predict", json={"model": "sinusoid", "queries": QUERIES})
    assert client.get("/adaptations").json() == {"adaptations": []}


def test_a_prediction_does_not_depend_on_the_other_queries(client: TestClient) -> None:
    body = {"model": "sinusoid", "support": SUPPORT}
    together = client.post("/predict", json=body | {"queries": QUERIES}).json()["predictions"]
    for query, expected in zip(QUERIES, together, strict=True):
        alone = client.post("/predict", json=body | {"queries": [query]}).json()["predictions"][0]
        assert alone == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, "expected exactly one of adaptation_id and model, got neither"),
        ({"model": "sinusoid", "adaptation_id": "x"}, "expected exactly one of adaptation_id and model, got both"),
        ({"adaptation_id": "x", "support": SUPPORT}, "support: the adaptation has its support set already"),
        (
            {"adaptation_id": "x", "steps": 1},
            "steps: the adaptation has its own steps",
        ),
        (
            {"model": "sinusoid", "learning_rate": 0.01},
            "learning_rate: there is nothing to adapt to",
        ),
    ],
)
def test_exactly_one_form_is_accepted(client: TestClient, body: dict[str, object], detail: str) -> None:
    response = client.post("/predict", json=body | {"queries": QUERIES})
    assert response.status_code == 422
    assert detail in response.json()["detail"]


def test_a_prediction_beyond_float32_is_refused_with_its_query(client: TestClient) -> None:
    body = {
        "model": "linear",
        "support": {"inputs": [[0.5], [1.0]], "targets": [50, 100]},
        "queries": [[1.0], [3.4e38]],
    }
    response = client.post("/predict", json=body)
    assert response.status_code == 422
    assert response.json()["place"] == "queries[1]"
