"""`labels` of a support set: the classes of a task, also those without an example."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from fastapi.testclient import TestClient

from service_tests.api.requests import adapt
from service_tests.api.test_classification import MODELS, QUERIES, SUPPORT, assert_same_answer, predict

CLASSES = ["new", "up", "left", "日本 🜲"]
DECLARED: dict[str, Any] = SUPPORT | {"labels": CLASSES}


@pytest.fixture
def client(serve: Callable[..., TestClient], classifiers: Path) -> TestClient:
    return serve(models_dir=classifiers)


def refusal(client: TestClient, support: Any, path: str = "/adapt") -> tuple[str, str]:
    response = client.post(path, json={"model": "blobs", "support": support} if path == "/adapt" else support)
    assert response.status_code == 422, response.text
    return response.json()["place"], response.json()["detail"]


@pytest.mark.parametrize("model", MODELS)
def test_classes_are_in_the_declared_order(client: TestClient, model: str) -> None:
    adaptation = adapt(client, DECLARED, model=model)
    assert adaptation["labels"] == CLASSES
    answer = predict(client, adaptation_id=adaptation["adaptation_id"])
    assert answer["labels"] == CLASSES
    assert answer["predictions"][:3] == ["left", "up", "日本 🜲"]
    np.testing.assert_allclose(np.sum(answer["probabilities"], 1), 1, rtol=1e-5)
    assert_same_answer(predict(client, model=model, support=DECLARED), answer)
    stored = client.get(f"/adaptations/{adaptation['adaptation_id']}/support").json()
    assert (stored["labels"], stored["targets"]) == (CLASSES, SUPPORT["targets"])


def test_what_is_answered_for_a_class_without_an_example(client: TestClient) -> None:
    """`blobs` has prototypes, and none for that class; `fixed` has an output for it, which is trained away from it."""
    without, trained = (
        np.array(predict(client, model=each, support=DECLARED)["probabilities"])[:, 0] for each in MODELS
    )
    assert (without == 0).all()
    assert (trained > 0).all()
    plain = predict(client, model="blobs", support=SUPPORT)
    declared = predict(client, model="blobs", support=DECLARED)
    assert declared["predictions"] == plain["predictions"]
    columns = [CLASSES.index(label) for label in plain["labels"]]
    np.testing.assert_allclose(np.array(declared["probabilities"])[:, columns], plain["probabilities"], atol=1e-6)


def test_types_are_told_apart(client: TestClient) -> None:
    labels = [True, 1, "1", 0]
    support = {"inputs": SUPPORT["inputs"][:3], "targets": [1, "1", True], "labels": labels}
    adaptation = adapt(client, support, model="blobs")
    assert [(type(each), each) for each in adaptation["labels"]] == [(type(each), each) for each in labels]
    place, detail = refusal(client, support | {"labels": [True, "1", 0]})
    assert place == "support.targets[0]"
    assert detail.endswith("expected one of the labels, got 1: add it to labels, or correct it")


@pytest.mark.parametrize(
    ("labels", "place", "detail"),
    [
        (["left", "up"], "targets[4]", 'expected one of the labels, got "日本 🜲": add it to labels, or correct it'),
        ([*CLASSES, "up"], "labels[4]", 'expected each label once, got "up" as in support.labels[1]'),
        ([*CLASSES, 0.5], "labels[4]", "expected a label: a string, a whole number or true or false, got 0.5"),
        ([*CLASSES, None], "labels[4]", "got null"),
        ([], "labels", "expected at least 1 element, got 0"),
        ("left", "labels", "got a string"),
    ],
)
def test_bad_labels_are_refused(client: TestClient, labels: Any, place: str, detail: str) -> None:
    where, text = refusal(client, SUPPORT | {"labels": labels})
    assert where == f"support.{place}"
    assert detail in text


def test_labels_count_in_the_limits(serve: Callable[..., TestClient], classifiers: Path) -> None:
    client = serve(models_dir=classifiers, max_support_examples=7)
    many = [*CLASSES, *range(4)]
    place, detail = refusal(client, SUPPORT | {"labels": many})
    assert (place, "at most 7 classes (INNERLOOP_MAX_SUPPORT_EXAMPLES), got 8" in detail) == ("support.labels", True)
    adaptation = adapt(client, SUPPORT | {"labels": many[:7]}, model="blobs")
    more = {"inputs": [[1, 1]], "targets": ["x"], "labels": ["x"]}
    assert refusal(client, more, f"/adaptations/{adaptation['adaptation_id']}/support")[0] == "labels"
    response = client.post("/adapt", json={"model": "fixed", "support": SUPPORT | {"labels": many[:6]}})
    assert (response.status_code, response.json()["place"]) == (422, "support.labels")


@pytest.mark.parametrize("model", MODELS)
def test_extending_adds_classes(client: TestClient, model: str) -> None:
    adaptation = adapt(client, DECLARED, model=model)
    path = f"/adaptations/{adaptation['adaptation_id']}"
    more: dict[str, Any] = {"inputs": [[9, -9]], "targets": ["new"]}
    assert refusal(client, more | {"targets": ["old"]}, f"{path}/support") == (
        "targets[0]",
        'targets[0]: expected one of the labels, got "old": add it to labels, or correct it',
    )
    assert client.post(f"{path}/support", json=more | {"labels": ["fifth"]}).json()["labels"] == [*CLASSES, "fifth"]
    whole: dict[str, Any] = {key: SUPPORT[key] + more[key] for key in SUPPORT} | {"labels": [*CLASSES, "fifth"]}
    assert_same_answer(
        predict(client, adaptation_id=adaptation["adaptation_id"]), predict(client, model=model, support=whole)
    )
    assert client.post(f"{path}/undo").json()["labels"] == CLASSES
    assert_same_answer(
        predict(client, adaptation_id=adaptation["adaptation_id"]), predict(client, model=model, support=DECLARED)
    )


def test_an_extension_declares_the_first_labels(client: TestClient) -> None:
    adaptation = adapt(client, SUPPORT, model="blobs")
    more = {"inputs": [[9, -9]], "targets": ["up"], "labels": ["new"]}
    extended = client.post(f"/adaptations/{adaptation['adaptation_id']}/support", json=more).json()
    assert extended["labels"] == ["left", "up", "日本 🜲", "new"]


@pytest.mark.parametrize("model", MODELS)
def test_a_declared_class_stays_without_its_last_example(
    serve: Callable[..., TestClient], classifiers: Path, tmp_path: Path, model: str
) -> None:
    """Also where no example of its addition is left, after a restart and after undo."""
    client = serve(models_dir=classifiers, store="sqlite", state_dir=tmp_path)
    adaptation = adapt(client, SUPPORT, model=model)
    path = f"/adaptations/{adaptation['adaptation_id']}"
    for label in ("new", "newer"):
        more = {"inputs": [[9, -9]], "targets": [label], "labels": [label]}
        assert client.post(f"{path}/support", json=more).status_code == 200
    forgotten = client.delete(f"{path}/support/6").json()
    assert set(forgotten["labels"]) == {*SUPPORT["targets"], "new", "newer"}
    whole = {key: value[:6] for key, value in SUPPORT.items()}
    whole = {
        "inputs": [*whole["inputs"], [9, -9]],
        "targets": [*whole["targets"], "newer"],
        "labels": forgotten["labels"],
    }
    client.__exit__(None, None, None)
    client.portal = None
    client = serve(models_dir=classifiers, store="sqlite", state_dir=tmp_path)
    assert_same_answer(
        predict(client, adaptation_id=adaptation["adaptation_id"]), predict(client, model=model, support=whole)
    )
    assert set(client.post(f"{path}/undo").json()["labels"]) == {*SUPPORT["targets"], "new"}
    for number in range(1, 6):
        assert client.delete(f"{path}/support/{number}").status_code == 200
    assert set(client.get(path).json()["labels"]) == {"left", "new"}


def test_a_class_of_weight_0_is_not_there_unless_it_is_declared(client: TestClient) -> None:
    weights = [1, 1, 1, 1, 0, 0]
    assert adapt(client, SUPPORT | {"weights": weights}, model="blobs")["labels"] == ["left", "up"]
    both = adapt(client, DECLARED | {"weights": weights}, model="blobs")
    assert both["labels"] == CLASSES
    stored = client.get(f"/adaptations/{both['adaptation_id']}/support").json()
    assert (stored["weights"], stored["targets"]) == (weights, SUPPORT["targets"])
    rest = {key: value[:4] for key, value in SUPPORT.items()} | {"labels": CLASSES}
    assert_same_answer(
        predict(client, adaptation_id=both["adaptation_id"]), predict(client, model="blobs", support=rest)
    )


@pytest.mark.parametrize("model", MODELS)
def test_weights_equal_copies(client: TestClient, model: str) -> None:
    weighted = SUPPORT | {"weights": [2, 1, 1, 2, 1, 1]}
    copies = {key: [*value, value[0], value[3]] for key, value in SUPPORT.items()}
    one, two = (predict(client, model=model, support=each) for each in (weighted, copies))
    assert_same_answer(one, two)
    np.testing.assert_allclose(one["losses"], two["losses"], rtol=1e-4, atol=1e-5)


def test_labels_identify_a_request(client: TestClient) -> None:
    one, two, again = (
        adapt(client, each, model="blobs", reuse=True)["adaptation_id"] for each in (SUPPORT, DECLARED, DECLARED)
    )
    assert one != two == again


def test_an_assessment_says_what_it_cannot_know(client: TestClient) -> None:
    quality = adapt(client, DECLARED, model="fixed", assess="leave_one_out")["quality"]
    assert quality["message"].startswith(
        "1 class has no example: nothing says how well it is told apart from the others."
    )
    assert quality["initial_error"] == pytest.approx(np.log(4))
    assert (quality["folds"], None in quality["errors"]) == (6, False)


def test_msgpack_has_raw_labels(client: TestClient) -> None:
    labels = {"shape": [3], "data": np.array([7, 8, 9], "<i4").tobytes(), "dtype": "int32"}
    support = {"inputs": SUPPORT["inputs"][:2], "targets": [8, 7], "labels": labels}
    packed = msgspec.msgpack.encode({"model": "blobs", "support": support, "queries": QUERIES})
    answer = client.post("/predict", content=packed, headers={"content-type": "application/msgpack"})
    assert msgspec.msgpack.decode(answer.content)["labels"] == [7, 8, 9]


def test_a_large_body_has_labels(client: TestClient) -> None:
    """Another process decodes it, and knows numbers from booleans."""
    rows = 6000
    targets: list[Any] = [(0, True, "b")[index % 3] for index in range(rows)]
    for labels in ([False, 0, True, "b"], [5, 3, 4, 0, 1, 2]):
        own = targets if "b" in labels else [index % 3 for index in range(rows)]
        support = {"inputs": [[index % 3, 0.5] for index in range(rows)], "targets": own, "labels": labels}
        answer = predict(client, model="blobs", support=support)
        assert [(type(each), each) for each in answer["labels"]] == [(type(each), each) for each in labels]
