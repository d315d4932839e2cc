"""A support set that only names its classes: the initialization over them, and the life that begins with it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

from app.bundles.folder import load
from app.encoders.registry import fit
from app.learn.inner import functional_forward
from app.learn.networks import NetworkSpec, build
from service_tests.api.requests import adapt, reload
from service_tests.api.test_classification import QUERIES, assert_same_answer, predict
from service_tests.bundles import write_bundle, write_encoder_bundle
from service_tests.encoders.cases import PATIENTS, TABLE, drawing, picture, url

CLASSES = ["c", 1, True]
ALONE: dict[str, Any] = {"labels": CLASSES}
OBJECTS: list[Any] = [{name: value for name, value in row.items() if value == value} for row in PATIENTS]
MSGPACK = "application/msgpack"


class Life(NamedTuple):
    """A model, and the inputs of examples to add to its classes."""

    model: str
    rows: list[Any]

    def support(self, *numbers: int) -> dict[str, Any]:
        rows = [self.rows[number] for number in numbers]
        return {"inputs": rows, "targets": [CLASSES[number % 3] for number in numbers]}


LIVES = [
    Life("fixed", [[0, 0], [5, 5], [-5, 5]]),
    Life("risks", OBJECTS[:3]),
    Life("letters", [(drawing(28, 0) == 0).tolist(), *(url(picture(drawing(40, seed))) for seed in (1, 2))]),
]
lives = pytest.mark.parametrize("life", [pytest.param(life, id=life.model) for life in LIVES])


@pytest.fixture
def models(tmp_path: Path, classifiers: Path) -> Path:
    """`classifiers`, with `ridge` in closed form, `risks` of a table and `letters` of images."""
    folder = tmp_path / "models"
    folder.mkdir()
    for bundle in classifiers.iterdir():
        (folder / bundle.name).symlink_to(bundle)
    write_bundle(folder / "ridge", "blobs", "ridge", NetworkSpec("mlp", {"inputs": 2, "outputs": 8, "hidden": [8]}))
    write_encoder_bundle(folder / "risks", fit("table", PATIENTS, TABLE), "classification")
    write_encoder_bundle(folder / "letters", fit("image", [], {"shape": [28, 28]}), "classification")
    return folder


@pytest.fixture
def client(serve: Callable[..., TestClient], models: Path) -> TestClient:
    return serve(models_dir=models)


def assert_fresh(client: TestClient, adaptation_id: str, life: Life, support: Any) -> None:
    answers = (
        predict(client, queries=life.rows, adaptation_id=adaptation_id),
        predict(client, queries=life.rows, model=life.model, support=support),
    )
    assert_same_answer(*answers)
    assert [list(map(type, each["labels"])) for each in answers] == [list(map(type, CLASSES))] * 2


def test_the_answer_is_that_of_the_initialization_over_the_classes(client: TestClient, models: Path) -> None:
    answer = predict(client, model="fixed", support=ALONE)
    bundle = load(models / "fixed")
    network = build(bundle.manifest.network.name, bundle.manifest.network.options)
    logits = functional_forward(network)(dict(bundle.meta), torch.tensor(QUERIES, dtype=torch.float32))
    np.testing.assert_allclose(answer["probabilities"], logits[:, :3].softmax(-1).numpy(), rtol=1e-5, atol=1e-6)
    assert answer["labels"] == CLASSES
    assert (answer["losses"], answer["status"]) == ([0.0] * 6, "no_progress")
    assert_same_answer(predict(client, model="fixed", support=ALONE, steps=50), answer)
    adaptation = adapt(client, ALONE, model="fixed")
    assert (adaptation["support_size"], adaptation["examples"], adaptation["labels"]) == (0, [], CLASSES)
    assert_same_answer(predict(client, adaptation_id=adaptation["adaptation_id"]), answer)


def test_every_way_to_post_no_example_is_the_same(client: TestClient) -> None:
    made = adapt(client, ALONE, model="fixed", reuse=True)["adaptation_id"]
    forms: list[dict[str, Any]] = [{"inputs": []}, {"targets": []}, {"inputs": [], "targets": []}, {"rows": []}]
    for form in forms:
        assert adapt(client, ALONE | form, model="fixed", reuse=True)["adaptation_id"] == made
    shown = client.get(f"/adaptations/{made}/support").json()
    assert (shown["inputs"], shown["targets"], shown["labels"]) == ([], [], CLASSES)
    packed = client.get(f"/adaptations/{made}/support", headers={"Accept": MSGPACK}).content
    again = {
        key: value for key, value in msgspec.msgpack.decode(packed).items() if key in ("inputs", "targets", "labels")
    }
    assert again["inputs"]["shape"] == [0, 2]
    body = msgspec.msgpack.encode({"model": "fixed", "support": again, "reuse": True})
    headers = {"Content-Type": MSGPACK, "Accept": "application/json"}
    assert client.post("/adapt", content=body, headers=headers).json()["adaptation_id"] == made
    answer = predict(client, model="fixed", support=ALONE)
    lines = "\n".join(json.dumps({"model": "fixed", "support": ALONE, "queries": QUERIES}) for _ in range(2))
    answers = client.post("/predict", content=lines, headers={"Content-Type": "application/x-ndjson"}).text
    for line in answers.splitlines():
        assert_same_answer(json.loads(line), answer)
    events = client.post("/adapt", json={"model": "fixed", "support": ALONE}, headers={"Accept": "text/event-stream"})
    assert json.loads(events.text.rpartition("data: ")[2])["losses"] == [0.0] * 6


def test_what_an_algorithm_without_examples_can_say(client: TestClient) -> None:
    """Ridge regression of no examples has the weights 0; the mean of no examples does not exist."""
    np.testing.assert_allclose(predict(client, model="ridge", support=ALONE)["probabilities"], 1 / 3, rtol=1e-5)
    for path, more in (("/adapt", {}), ("/predict", {"queries": QUERIES})):
        refused = client.post(path, json={"model": "blobs", "support": ALONE} | more)
        assert (refused.status_code, refused.json()["place"]) == (422, "support.labels")
        assert refused.json()["detail"] == (
            "support.labels: expected classes with examples for blobs, got no example: blobs compares queries with the "
            "examples of each class, so send inputs and targets too"
        )


@pytest.mark.parametrize(
    ("model", "support", "detail"),
    [
        ("fixed", {"labels": CLASSES, "targets": [1]}, "support.inputs: expected a value, got none: add the field"),
        (
            "fixed",
            {"labels": CLASSES, "inputs": [], "targets": [1]},
            "support.inputs: expected at least 1 element, got 0",
        ),
        ("fixed", {"inputs": [], "targets": []}, "support.inputs: expected at least 1 element, got 0"),
        ("fixed", {"rows": []}, "support.rows: expected at least 1 element, got 0"),
        ("fixed", {"labels": [1, 1]}, "support.labels[1]: expected each label once, got 1 as in support.labels[0]"),
        ("fixed", {"labels": [*range(6)]}, "support.labels: expected at most 5 classes for fixed, got 6"),
        ("fixed", {"labels": [1], "weights": [1]}, "support.inputs: expected a value, got none: add the field"),
    ],
)
def test_what_is_refused(client: TestClient, model: str, support: Any, detail: str) -> None:
    refused = client.post("/adapt", json={"model": model, "support": support})
    assert refused.status_code == 422, refused.text
    assert refused.json()["detail"].startswith(detail)


def test_nothing_can_be_left_out_of_no_example(client: TestClient) -> None:
    refused = client.post("/adapt", json={"model": "fixed", "support": ALONE, "assess": "k_fold"})
    assert (refused.status_code, refused.json()["place"]) == (422, "support")
    assert "expected at least 2 examples to assess, got 0" in refused.json()["detail"]


@lives
def test_the_whole_life_equals_adapting_afresh(
    serve: Callable[..., TestClient], models: Path, tmp_path: Path, life: Life
) -> None:
    settings: dict[str, Any] = {"models_dir": models, "store": "sqlite", "state_dir": tmp_path / "state"}
    client = serve(**settings)
    made = adapt(client, ALONE, model=life.model)["adaptation_id"]
    path = f"/adaptations/{made}"

    def check(*numbers: int) -> None:
        assert_fresh(client, made, life, ALONE | life.support(*numbers))

    def restart() -> TestClient:
        client.__exit__(None, None, None)
        client.portal = None
        return serve(**settings)

    client = restart()
    check()
    client.post(f"{path}/support", json=life.support(0, 1)).raise_for_status()
    check(0, 1)
    client = restart()
    client.post(f"{path}/support", json=life.support(2)).raise_for_status()
    check(0, 1, 2)
    client.post(f"{path}/undo").raise_for_status()
    check(0, 1)
    client.post(f"{path}/undo").raise_for_status()
    check()
    assert client.post(f"{path}/undo").status_code == 409
    client.post(f"{path}/support", json=life.support(1)).raise_for_status()
    client.delete(f"{path}/support/{client.get(path).json()['examples'][0]}").raise_for_status()
    check()
    client = restart()
    check()
    client.post(f"{path}/support", json=life.support(2, 0)).raise_for_status()
    check(2, 0)


@lives
def test_an_evicted_one_is_derived_again(
    serve: Callable[..., TestClient], models: Path, monkeypatch: pytest.MonkeyPatch, life: Life
) -> None:
    monkeypatch.setattr("app.service.engine.MIN_CACHE_BYTES", 1)  # room for 2
    client = serve(models_dir=models, fast_weights_bytes=0)
    supports = [ALONE, ALONE | life.support(0), ALONE | life.support(0, 1, 2), ALONE]
    ids = [adapt(client, each, model=life.model)["adaptation_id"] for each in supports]
    for made, support in zip(ids, supports, strict=True):
        assert_fresh(client, made, life, support)


def test_the_last_example_can_be_forgotten_where_classes_are_declared(client: TestClient) -> None:
    for model, status in (("fixed", 200), ("blobs", 409)):
        made = adapt(client, ALONE | {"inputs": [[0, 0]], "targets": [1]}, model=model)["adaptation_id"]
        assert client.delete(f"/adaptations/{made}/support/0").status_code == status
    made = adapt(client, {"inputs": [[0, 0]], "targets": [1]}, model="fixed")["adaptation_id"]
    assert client.delete(f"/adaptations/{made}/support/0").status_code == 409


def test_undo_does_not_leave_classes_that_need_examples(client: TestClient) -> None:
    made = adapt(client, ALONE | {"inputs": [[0, 0]], "targets": [1]}, model="blobs")["adaptation_id"]
    client.post(f"/adaptations/{made}/support", json={"inputs": [[1, 1]], "targets": ["c"]}).raise_for_status()
    client.delete(f"/adaptations/{made}/support/0").raise_for_status()
    assert client.get(f"/adaptations/{made}").json()["labels"] == CLASSES
    assert client.post(f"/adaptations/{made}/undo").status_code == 409


def test_labels_alone_are_an_addition_too(client: TestClient) -> None:
    for model in ("fixed", "blobs"):
        support = ALONE | {"inputs": [[0, 0]], "targets": [1]}
        made = adapt(client, support, model=model)["adaptation_id"]
        path = f"/adaptations/{made}"
        extended = client.post(f"{path}/support", json={"labels": ["new"]}).raise_for_status().json()
        assert (extended["labels"], extended["support_size"]) == ([*CLASSES, "new"], 1)
        whole = support | {"labels": [*CLASSES, "new"]}
        assert_same_answer(predict(client, adaptation_id=made), predict(client, model=model, support=whole))
        undone = client.post(f"{path}/undo").raise_for_status().json()
        assert (undone["labels"], undone["change"]) == (CLASSES, "Removed the labels that were added last.")


def test_a_newer_bundle_that_needs_examples_leaves_it_to_the_old_one(
    serve: Callable[..., TestClient], tmp_path: Path
) -> None:
    def write(algorithm: str, outputs: int) -> None:
        network = NetworkSpec("mlp", {"inputs": 2, "outputs": outputs, "hidden": [8]})
        write_bundle(tmp_path / "models" / "own", "blobs", algorithm, network)

    write("maml", 5)
    client = serve(models_dir=tmp_path / "models")
    made = adapt(client, ALONE, model="own")["adaptation_id"]
    before = predict(client, adaptation_id=made)
    write("protonet", 8)
    reload(client)
    assert_same_answer(predict(client, adaptation_id=made), before)
    write("ridge", 8)
    reload(client)
    assert_same_answer(predict(client, adaptation_id=made), predict(client, model="own", support=ALONE))
