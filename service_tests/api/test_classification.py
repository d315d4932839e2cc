"""Classification over HTTP: any labels, any number of classes and examples, in one bundle."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from service_tests.api.requests import adapt, reload

SUPPORT: dict[str, list[Any]] = {
    "inputs": [[0, 0], [5, 5], [0.2, 0], [5, 5.4], [-5, 5], [-5.2, 5]],
    "targets": ["left", "up", "left", "up", "日本 🜲", "日本 🜲"],
}
QUERIES = [[0.1, 0.1], [4, 4], [-4, 4], [1, 2]]
MODELS = ["blobs", "fixed"]
LABEL = "expected a label: a string, a whole number or true or false"


@pytest.fixture
def client(serve: Callable[..., TestClient], classifiers: Path) -> TestClient:
    return serve(models_dir=classifiers)


def predict(client: TestClient, **fields: Any) -> dict[str, Any]:
    response = client.post("/predict", json={"queries": QUERIES} | fields)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def task(ways: int, shots: int, seed: int = 0) -> dict[str, Any]:
    """A support set of classes around points, in random order."""
    generator = np.random.default_rng(seed)
    classes = generator.permutation(np.repeat(np.arange(ways), shots))
    points = generator.normal(size=(ways, 2)).astype(np.float32) * 5
    inputs = points[classes] + generator.normal(size=(ways * shots, 2)).astype(np.float32) * 0.1
    return {"inputs": inputs.tolist(), "targets": [f"class {each}" for each in classes]}


def assert_same_answer(one: dict[str, Any], two: dict[str, Any]) -> None:
    assert (one["predictions"], one["labels"]) == (two["predictions"], two["labels"])
    np.testing.assert_allclose(one["probabilities"], two["probabilities"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_labels_come_back_as_they_were_sent(client: TestClient, model: str) -> None:
    adaptation = adapt(client, SUPPORT, model=model)
    assert (adaptation["kind"], adaptation["status"], adaptation["labels"]) == (
        "classification",
        "improved",
        ["left", "up", "日本 🜲"],
    )
    by_id = predict(client, adaptation_id=adaptation["adaptation_id"])
    assert by_id["labels"] == adaptation["labels"]
    assert by_id["predictions"][:3] == ["left", "up", "日本 🜲"]
    probabilities = np.array(by_id["probabilities"])
    assert probabilities.shape == (4, 3)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    assert [by_id["labels"][index] for index in probabilities.argmax(1)] == by_id["predictions"]
    at_once = predict(client, model=model, support=SUPPORT)
    assert_same_answer(at_once, by_id)
    assert at_once["losses"] == pytest.approx(adaptation["losses"], rel=1e-5)
    assert at_once["losses"][0] == pytest.approx(np.log(3), rel=0.5)
    assert at_once["status"] == "improved"
    assert client.get(f"/adaptations/{adaptation['adaptation_id']}/support").json()["targets"] == SUPPORT["targets"]
    assert client.get("/adaptations").json()["adaptations"] == [adaptation]


@pytest.mark.parametrize(
    "labels",
    [
        ["", " "], ["a", "a\0"], ["é", "e\u0301"], ["0", "0.0"], ["true", "null"],
        [0, 1], [True, False], [1, True], [True, 1], [0, False], ["1", 1], [-(2**63), 2**63 - 1], ["a", 1, True, "1"],
    ],
)  # fmt: skip
def test_any_string_integer_or_boolean_can_be_a_label(client: TestClient, labels: list[Any]) -> None:
    support = {"inputs": [[5 * index, 5 * index] for index in range(len(labels))], "targets": labels}
    adaptation = adapt(client, support, model="blobs")
    assert typed(adaptation["labels"]) == typed(labels)
    answer = predict(client, adaptation_id=adaptation["adaptation_id"], queries=support["inputs"])
    assert typed(answer["predictions"]) == typed(labels)
    stored = client.get(f"/adaptations/{adaptation['adaptation_id']}/support").json()
    assert typed(stored["targets"]) == typed(labels)
    left_out = adapt(client, {key: [*each, *each] for key, each in support.items()}, model="blobs", assess="k_fold")
    assert left_out["quality"]["accuracy"] == 1


def typed(labels: list[Any]) -> list[tuple[type, Any]]:
    """Labels told apart by type, though `1 == True`."""
    return [(type(label), label) for label in labels]


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", "uint64"])
def test_labels_in_raw_arrays_are_the_same_as_in_json(client: TestClient, dtype: str) -> None:
    targets = np.array([0, 1, 0, 1], dtype)
    support = {"inputs": SUPPORT["inputs"][:4], "targets": targets.tolist()}
    raw = {"shape": [4], "data": targets.tobytes(), "dtype": dtype}
    body = msgspec.msgpack.encode({"model": "blobs", "support": support | {"targets": raw}, "queries": QUERIES})
    answer = client.post("/predict", content=body, headers={"Content-Type": "application/msgpack"})
    labels = msgspec.msgpack.decode(answer.content)["labels"]
    assert typed(labels) == typed(predict(client, model="blobs", support=support)["labels"])


def test_a_large_body_keeps_the_types_of_labels(client: TestClient) -> None:
    for labels in ([0, 1], [True, False], [1, "1"], [True, 1]):
        support = {"inputs": [[0, 0], [5, 5]] * 3000, "targets": labels * 3000}
        body = json.dumps({"model": "blobs", "support": support, "queries": QUERIES})
        assert len(body) > 2**16
        answer = client.post("/predict", content=body, headers={"Content-Type": "application/json"}).json()
        assert typed(answer["labels"]) == typed(labels)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("targets", "detail", "place"),
    [
        (["a", "b", "c", "a", "b", 3.0], f"{LABEL}, got 3.0: write it as a whole number: 3", "support.targets[5]"),
        (["a", "b", "c", "a", "b", 3.5], f"{LABEL}, got 3.5: send it as a string", "support.targets[5]"),
        (["a", "b", "c", "a", "b", 2**63], "got another one: send it as a string", "support.targets[5]"),
        ([["a"]] * 6, f"{LABEL}, got an array", "support.targets[0]"),
        ([[1.0]] * 6, f"{LABEL}, got an array", "support.targets[0]"),
        (["a", "b", None, "a", "b", "c"], f"{LABEL}, got null", "support.targets[2]"),
        (["a"] * 5 + ["b" * 201], "expected a label of at most 200 characters, got 201", "support.targets[5]"),
        (["a"], "expected as many inputs as targets, got 6 and 1", "support"),
        (
            {"shape": [6, 1], "data": "AAAA" * 8},
            "for each example: whole numbers, or true and false, got an array of float32 of the shape [6, 1]",
            "support.targets",
        ),
        (None, "expected an array, got null", "support.targets"),
    ],
)
def test_wrong_labels_are_refused(client: TestClient, model: str, targets: Any, detail: str, place: str) -> None:
    for path, body in (("/adapt", {}), ("/predict", {"queries": QUERIES})):
        support = {"inputs": SUPPORT["inputs"], "targets": targets}
        response = client.post(path, json={"model": model, "support": support} | body)
        assert response.status_code == 422
        assert detail in response.json()["detail"]
        assert response.json()["place"] == place


def test_a_regression_model_refuses_booleans(serve: Callable[..., TestClient]) -> None:
    for targets in ([0.1, True], [True, False], [[0.1], True]):
        support = {"inputs": [[1], [2]], "targets": targets}
        problem = serve().post("/adapt", json={"model": "sinusoid", "support": support}).json()
        index = targets.index(True)
        assert problem["detail"] == f"support.targets[{index}]: expected a number, got true"


@pytest.mark.parametrize(
    ("target", "fix"),
    [("0.3", "send it without quotes"), ("nan", "send a number"), ("three", "send a number")],
)
def test_a_regression_model_refuses_labels(serve: Callable[..., TestClient], target: str, fix: str) -> None:
    for targets in ([0.1, target], [target, target], [[0.1], target]):
        support = {"inputs": [[1], [2]], "targets": targets}
        problem = serve().post("/adapt", json={"model": "sinusoid", "support": support}).json()
        place = f"support.targets[{targets.index(target)}]"
        assert problem["place"] == place
        assert problem["detail"] == f'{place}: expected a number, got "{target}": {fix}'


def test_an_initialization_has_no_classes(client: TestClient) -> None:
    response = client.post("/predict", json={"model": "blobs", "queries": QUERIES})
    assert response.status_code == 422
    detail = "support: blobs is a classifier, so send support with examples of each class"
    assert response.json()["detail"] == detail


@given(tasks=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 4)), min_size=2, max_size=6), seed=st.integers(0, 99))
def test_an_answer_depends_only_on_its_task_and_query(
    classifiers: Path, tasks: list[tuple[int, int]], seed: int
) -> None:
    """Tasks of any ways and shots in one batch, with all queries, equal one task and one query at a time."""
    import torch

    from app.bundles.folder import load
    from app.service.engine import Engine
    from app.service.job import Job
    from app.service.model import Model
    from app.service.task import Task

    model = Model(load(classifiers / "blobs"), torch.device("cpu"))
    queries = np.array(QUERIES, np.float32)
    jobs = []
    for number, (ways, shots) in enumerate(tasks):
        support = task(ways, shots, seed + number)
        inputs, targets = np.array(support["inputs"], np.float32), np.array(support["targets"], object)
        jobs.append(Job(model, object(), Task(inputs, targets, 1, 0.1), queries, keep=False))
    together = Engine(0).run(jobs)
    for (ways, _), job, result in zip(tasks, jobs, together, strict=True):
        assert result.predictions is not None
        assert result.predictions.shape == (4, ways)
        for query in range(4):
            job.queries = queries[query : query + 1]
            (alone,) = Engine(0).run([job])
            assert alone.predictions is not None
            np.testing.assert_allclose(alone.predictions[0], result.predictions[query], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_adding_examples_and_classes_equals_adapting_to_all(client: TestClient, model: str) -> None:
    adaptation = adapt(client, SUPPORT, model=model)
    more: dict[str, list[Any]] = {"inputs": [[8, -8], [1, 1]], "targets": ["new", "left"]}
    response = client.post(f"/adaptations/{adaptation['adaptation_id']}/support", json=more)
    assert response.status_code == 200
    assert response.json()["labels"] == ["left", "up", "日本 🜲", "new"]
    all_examples = {key: SUPPORT[key] + more[key] for key in SUPPORT}
    fresh = adapt(client, all_examples, model=model)
    assert response.json()["losses"] == pytest.approx(fresh["losses"], rel=1e-4, abs=1e-6)
    assert_same_answer(*(predict(client, adaptation_id=each["adaptation_id"]) for each in (adaptation, fresh)))
    undone = client.post(f"/adaptations/{adaptation['adaptation_id']}/undo").json()
    assert undone["labels"] == adaptation["labels"]
    assert undone["losses"] == pytest.approx(adaptation["losses"], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_a_class_is_forgotten_with_its_last_example(client: TestClient, model: str) -> None:
    adaptation = adapt(client, SUPPORT, model=model)
    path = f"/adaptations/{adaptation['adaptation_id']}"
    assert client.delete(f"{path}/support/0").json()["labels"] == ["up", "left", "日本 🜲"]
    answer = client.delete(f"{path}/support/2").json()
    assert answer["labels"] == ["up", "日本 🜲"]
    remaining = {key: [each for index, each in enumerate(SUPPORT[key]) if index not in (0, 2)] for key in SUPPORT}
    fresh = adapt(client, remaining, model=model)
    assert_same_answer(*(predict(client, adaptation_id=each["adaptation_id"]) for each in (adaptation, fresh)))
    assert "left" not in client.get(f"{path}/support").text + client.get(f"{path}/history").text


def test_a_forgotten_label_is_erased_from_the_file(
    serve: Callable[..., TestClient], classifiers: Path, tmp_path: Path
) -> None:
    client = serve(models_dir=classifiers, store="sqlite", state_dir=tmp_path)
    support = {"inputs": SUPPORT["inputs"][:3], "targets": ["a", "patient Zero's diagnosis", "a"]}
    adaptation = adapt(client, support, model="blobs")

    def stored_bytes() -> bytes:
        return b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())

    assert b"patient Zero" in stored_bytes()
    assert client.delete(f"/adaptations/{adaptation['adaptation_id']}/support/1").status_code == 200
    assert b"patient Zero" not in stored_bytes()


def test_more_classes_than_outputs_are_refused(client: TestClient) -> None:
    support = task(ways=6, shots=1)
    response = client.post("/adapt", json={"model": "fixed", "support": support})
    assert response.status_code == 422
    detail = "support.targets: expected at most 5 classes for fixed, got 6: leave some classes out"
    assert response.json()["detail"] == detail
    adaptation = adapt(client, {key: support[key][:5] for key in support}, model="fixed")
    last = {key: support[key][5:] for key in support}
    response = client.post(f"/adaptations/{adaptation['adaptation_id']}/support", json=last)
    assert (response.status_code, response.json()["place"]) == (422, "targets")
    assert adapt(client, support, model="blobs")["labels"] == support["targets"]


def test_a_request_with_other_labels_is_not_a_repeat(client: TestClient) -> None:
    headers = {"Idempotency-Key": "once"}
    first = client.post("/adapt", json={"model": "blobs", "support": SUPPORT}, headers=headers).json()
    again = client.post("/adapt", json={"model": "blobs", "support": SUPPORT}, headers=headers).json()
    assert again == first
    other = SUPPORT | {"targets": ["right", *SUPPORT["targets"][1:]]}
    response = client.post("/adapt", json={"model": "blobs", "support": other}, headers=headers)
    assert (response.status_code, response.json()["type"]) == (422, "urn:problem-type:innerloop:key-reused")
    one, two, three = (
        adapt(client, support, model="blobs", reuse=True)["adaptation_id"] for support in (SUPPORT, other, SUPPORT)
    )
    assert one == three != two


def test_settings_that_an_algorithm_does_not_use_are_refused(client: TestClient) -> None:
    for field, value, detail in (
        ("steps", 0, "steps: expected 1, got 0: blobs adapts in closed form"),
        ("steps", 2, "steps: expected 1, got 2: blobs adapts in closed form"),
        (
            "learning_rate",
            0.1,
            "learning_rate: blobs adapts in closed form, so leave learning_rate out",
        ),
    ):
        for path, body in (("/adapt", {}), ("/predict", {"queries": QUERIES})):
            response = client.post(path, json={"model": "blobs", "support": SUPPORT, field: value} | body)
            assert (response.status_code, response.json()["place"]) == (422, field)
            assert detail in response.json()["detail"]
    assert len(adapt(client, SUPPORT, model="blobs", steps=1)["losses"]) == 2
    assert len(adapt(client, SUPPORT, model="fixed", steps=7, learning_rate=0.01)["losses"]) == 8


def test_msgpack_ndjson_and_events_give_the_same_answer(client: TestClient) -> None:
    plain = predict(client, model="blobs", support=SUPPORT)
    body = {"model": "blobs", "support": SUPPORT, "queries": QUERIES}
    headers = {"content-type": "application/msgpack"}
    answer = msgspec.msgpack.decode(
        client.post("/predict", content=msgspec.msgpack.encode(body), headers=headers).content
    )
    raw = answer["probabilities"]
    answer["probabilities"] = np.frombuffer(raw["data"], raw["dtype"]).reshape(raw["shape"]).tolist()
    assert_same_answer(answer, plain)
    lines = "\n".join(json.dumps(each) for each in (body, body | {"model": "fixed"}, body | {"queries": [["a"]]}))
    headers = {"content-type": "application/x-ndjson"}
    answers = [json.loads(line) for line in client.post("/predict", content=lines, headers=headers).text.splitlines()]
    assert_same_answer(answers[0], plain)
    assert answers[1]["model"] == "fixed"
    assert answers[2]["status"] == 422
    del body["queries"]
    events = client.post("/adapt", json=body, headers={"accept": "text/event-stream"}).text
    assert events.count("event: step") == 2
    assert '"labels":["left","up","日本 🜲"]' in events


def test_cross_validation_leaves_out_examples_of_each_class(client: TestClient) -> None:
    for method, folds in (("leave_one_out", 6), ("k_fold", 6)):
        quality = adapt(client, SUPPORT, model="blobs", assess=method)["quality"]
        assert quality["folds"] == folds
        assert quality["initial_error"] == pytest.approx(np.log(3))
        assert (quality["accuracy"], quality["helped"], None in quality["errors"]) == (1.0, True, False)


def test_the_only_example_of_a_class_is_not_assessed(client: TestClient) -> None:
    support = {"inputs": [*SUPPORT["inputs"], [9, -9]], "targets": [*SUPPORT["targets"], "alone"]}
    quality = adapt(client, support, model="blobs", assess="leave_one_out")["quality"]
    assert (quality["folds"], quality["errors"][-1], quality["accuracy"]) == (6, None, 1.0)
    assert quality["message"].startswith("1 example is the only one of its class")
    one_each = {"inputs": [[0, 0], [5, 5]], "targets": ["a", "b"]}
    response = client.post("/adapt", json={"model": "blobs", "support": one_each, "assess": "leave_one_out"})
    assert response.status_code == 422
    detail = (
        "support: expected at least 2 examples of one class to assess, got 1 of each class: one of them is left out"
    )
    assert response.json()["detail"] == detail


def test_weights_have_the_names_of_the_network(client: TestClient) -> None:
    from safetensors.numpy import load

    for model in MODELS:
        adaptation = adapt(client, SUPPORT, model=model)
        response = client.get(f"/adaptations/{adaptation['adaptation_id']}/weights")
        assert response.status_code == 200
        assert {"0.weight", "0.bias"} <= load(response.content).keys()


def test_calibration_tempers_probabilities_and_flags_unlike_queries(client: TestClient) -> None:
    plain = predict(client, model="blobs", support=SUPPORT)
    assert "unlike" not in plain
    queries = [*QUERIES, [40, -40]]
    answer = predict(client, model="calibrated_blobs", support=SUPPORT, queries=queries)
    assert answer["predictions"][:4] == plain["predictions"]
    assert answer["unlike"][0] is False
    assert answer["unlike"][4] is True
    tempered = np.sqrt(np.array(plain["probabilities"], np.float64))
    tempered /= tempered.sum(1, keepdims=True)
    np.testing.assert_allclose(answer["probabilities"][:4], tempered, rtol=1e-3, atol=1e-6)


def test_an_adaptation_moves_to_a_newer_bundle(
    serve: Callable[..., TestClient], classifiers: Path, tmp_path: Path
) -> None:
    from app.bundles.folder import load, write

    folder = Path(shutil.copytree(classifiers, tmp_path / "models"))
    client = serve(models_dir=folder)
    adaptation = adapt(client, SUPPORT, model="blobs")
    old = load(folder / "blobs")
    write(folder / "blobs", old.manifest, {name: value * 0.5 for name, value in old.meta.items()})
    reload(client)
    answer = predict(client, adaptation_id=adaptation["adaptation_id"])
    assert answer["revision"] == 2
    assert answer["model_digest"] == load(folder / "blobs").manifest.digest != adaptation["model_digest"]
    assert_same_answer(answer, predict(client, model="blobs", support=SUPPORT))
