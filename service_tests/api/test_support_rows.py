"""Rows with the target among their columns give the same answers as inputs and targets."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fastapi.testclient import TestClient

from app.bundles.folder import load, write
from app.learn.target_scale import TargetSpec
from service_tests.api.requests import WAVE
from service_tests.api.test_tables import OBJECTS, TARGETS, predict, support
from service_tests.bundles import write_tables

LABELS: list[Any] = ["low", 1, "1", True, "low"]
ROWS = [row | {"target": target} for row, target in zip(OBJECTS, TARGETS, strict=True)]
EITHER = "support: expected either rows or inputs and targets, got rows and "
LABELLED = [{"label": label} | row for row, label in zip(OBJECTS, LABELS, strict=True)]


@pytest.fixture
def client(tmp_path: Path, serve: Callable[..., TestClient]) -> TestClient:
    write_tables(tmp_path / "models")
    return serve(models_dir=tmp_path / "models")


def post_rows(client: TestClient, rows: Any, model: str = "wards", **fields: Any) -> Any:
    return client.post("/predict", json={"model": model, "support": {"rows": rows} | fields, "queries": OBJECTS})


@pytest.mark.parametrize("padding", [0, 2**17], ids=["small", "large"])
def test_rows_are_inputs_and_targets(client: TestClient, padding: int) -> None:
    body = {"model": "wards", "support": {"rows": ROWS}, "queries": OBJECTS}
    content = msgspec.json.encode(body) + b" " * padding
    answer = client.post("/predict", content=content, headers={"Content-Type": "application/json"})
    assert answer.raise_for_status().json()["predictions"] == predict(client, OBJECTS)
    packed = client.post(
        "/predict",
        content=msgspec.msgpack.encode(body),
        headers={"Content-Type": "application/msgpack", "Accept": "application/json"},
    )
    assert packed.json()["predictions"] == predict(client, OBJECTS)


def test_labels_keep_their_type(client: TestClient) -> None:
    answer = post_rows(client, LABELLED[:3], "risks").raise_for_status().json()
    assert answer["labels"] == ["low", 1, "1"]
    body = {"model": "risks", "support": support(OBJECTS[:3], LABELS[:3]), "queries": OBJECTS}
    assert answer["probabilities"] == client.post("/predict", json=body).json()["probabilities"]


def test_an_adaptation_grows_by_rows(client: TestClient) -> None:
    adaptation = client.post("/adapt", json={"model": "wards", "support": {"rows": ROWS[:3]}}).json()["adaptation_id"]
    assert client.post(f"/adaptations/{adaptation}/support", json={"rows": ROWS[3:]}).json()["support_size"] == len(
        ROWS
    )
    answer = client.post("/predict", json={"adaptation_id": adaptation, "queries": OBJECTS}).json()["predictions"]
    for one, other in zip(answer, predict(client, OBJECTS), strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    wrong = client.post(f"/adaptations/{adaptation}/support", json={"rows": [ROWS[0] | {"age": "61"}]}).json()
    assert wrong["place"] == "rows[0].age"


def test_weights_and_labels_go_with_rows(client: TestClient) -> None:
    weights, labels = [1, 0, 0.5, 2, 1], ["1", "low", 1]
    answer = post_rows(client, ROWS, weights=weights).raise_for_status().json()
    body = {"model": "wards", "support": support() | {"weights": weights}, "queries": OBJECTS}
    assert answer["predictions"] == client.post("/predict", json=body).json()["predictions"]
    assert answer["predictions"] != predict(client, OBJECTS)
    assert post_rows(client, ROWS, weights=[1]).json()["place"] == "support.weights"
    assert post_rows(client, LABELLED[:3], "risks", labels=labels).json()["labels"] == labels
    wrong = post_rows(client, LABELLED[:3], "risks", labels=["low", 1, "2"]).json()
    assert wrong["place"] == "support.rows[2].label"


def test_added_rows_may_have_the_labels_that_are_there(client: TestClient) -> None:
    body = {"model": "risks", "support": {"rows": LABELLED[:2], "labels": ["low", 1]}}
    path = f"/adaptations/{client.post('/adapt', json=body).json()['adaptation_id']}/support"
    assert client.post(path, json={"rows": LABELLED[4:]}).json()["support_size"] == 3
    wrong = client.post(path, json={"rows": LABELLED[:4:3]}).json()
    assert wrong["detail"] == "rows[1].label: expected one of the labels, got true: add it to labels, or correct it"
    assert wrong["place"] == "rows[1].label"
    wrong = client.post(path, json={"rows": LABELLED[:2], "weights": [1, -1]}).json()
    assert wrong["place"] == "weights[1]"
    more = {"rows": LABELLED[1:3], "labels": ["1"], "weights": [0.5, 2]}
    assert client.post(path, json=more).json()["labels"] == ["low", 1, "1"]


def test_too_many_rows_or_classes_are_named(tmp_path: Path, serve: Callable[..., TestClient]) -> None:
    write_tables(tmp_path / "models")
    client = serve(models_dir=tmp_path / "models", max_support_examples=5)
    assert post_rows(client, LABELLED[:4], "risks").json()["place"] == "support.rows"
    for model, rows, more in (("risks", LABELLED[:3], LABELLED[3:4]), ("wards", ROWS[:4], ROWS[:2])):
        body = {"model": model, "support": {"rows": rows}}
        path = f"/adaptations/{client.post('/adapt', json=body).json()['adaptation_id']}/support"
        assert client.post(path, json={"rows": more}).json()["place"] == "rows"


def test_the_targets_have_the_names_of_the_bundle(tmp_path: Path, serve: Callable[..., TestClient]) -> None:
    write_tables(tmp_path / "models")
    wards = load(tmp_path / "models/wards")
    manifest = replace(wards.manifest, targets=TargetSpec(("stay",), ("d",), (0.0,), (2.5,)))
    write(tmp_path / "models/wards", manifest, wards.meta, wards.encoder_arrays)
    named = serve(models_dir=tmp_path / "models")
    model = named.get("/models/wards").json()
    assert model["target_columns"] == [{"name": "stay", "type": "number", "unit": "d", "min": 0.0, "max": 2.5}]
    assert named.post("/predict", json=model["example"]).is_success
    rows = [row | {"stay": target} for row, target in zip(OBJECTS, TARGETS, strict=True)]
    assert post_rows(named, rows).json()["predictions"] == predict(named, OBJECTS)
    assert post_rows(named, ROWS).json()["place"] == "support.rows[0].stay"


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"age": "61"}, '.age: expected a number, got "61": send it without quotes'),
        ({"target": "2"}, '.target: expected a number, got "2": send it without quotes'),
        ({"target": None}, ".target: expected a number, got null"),
        ({"target": 1e39}, ".target: expected a finite float32 number, got 1e+39: scale the data"),
        ({"target": [1, 2]}, ".target: expected 1 number, got 2"),
        ({"agee": 3}, ".agee: expected one of the columns age, sex, smoker, seen, dose, ward, got another"),
    ],
)
def test_a_wrong_value_is_named(client: TestClient, change: dict[str, Any], detail: str) -> None:
    answer = post_rows(client, [*ROWS[:4], ROWS[4] | change])
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(f"support.rows[4]{detail}")
    assert answer.json()["detail"].startswith(answer.json()["place"])


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"rows": OBJECTS}, "support.rows[0].target: expected a value, got none: add the target as target"),
        ({"rows": []}, "support.rows: expected at least 1 element, got 0"),
        ({"rows": [[1]]}, "support.rows[0]: expected an object, got an array"),
        ({"rows": ROWS, "targets": TARGETS}, f"{EITHER}targets: leave targets or rows out"),
        ({"rows": ROWS, "inputs": OBJECTS}, f"{EITHER}inputs: leave inputs or rows out"),
        ({"rows": ROWS, "episodes": [{"observations": [1], "actions": [1]}]}, f"{EITHER}episodes"),
    ],
)
def test_rows_of_another_form_are_refused(client: TestClient, fields: Any, detail: str) -> None:
    answer = client.post("/adapt", json={"model": "wards", "support": fields})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(detail)


def test_a_query_has_no_target(client: TestClient) -> None:
    answer = client.post("/predict", json={"model": "wards", "queries": ROWS}).json()
    assert answer["place"] == "queries[0].target"


def test_models_without_names_of_columns_refuse_rows(serve: Callable[..., TestClient], models_dir: Path) -> None:
    shipped = serve(models_dir=models_dir)
    rows = [{"x": x[0], "target": y} for x, y in zip(WAVE["inputs"], WAVE["targets"], strict=True)]
    for model, expected in {
        "sinusoid": "support.rows: expected inputs and targets for sinusoid, got rows: its inputs have no columns",
        "navigation": "support.rows: expected episodes for navigation, got rows",
    }.items():
        answer = shipped.post("/adapt", json={"model": model, "support": {"rows": rows}})
        assert answer.status_code == 422
        assert answer.json()["detail"].startswith(expected)
