"""A state folder that commit 2364a5e wrote opens, and its adaptations answer the same.

`old_state/adaptations.sqlite.gz` has records in formats 1 and 2: numbers (extended, one forgotten), images and
decisions. `old_state/answers.json` has what that commit answered, and what was posted.
"""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from service_tests.api.requests import assert_same

OLD = Path(__file__).with_name("old_state")
ANSWERS: dict[str, dict[str, Any]] = json.loads((OLD / "answers.json").read_text())


@pytest.fixture
def client(serve: Callable[..., TestClient], tmp_path: Path) -> TestClient:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / "adaptations.sqlite").write_bytes(gzip.decompress((OLD / "adaptations.sqlite.gz").read_bytes()))
    return serve(store="sqlite", state_dir=state)


def predict(client: TestClient, answer: dict[str, Any]) -> dict[str, Any]:
    body = {"adaptation_id": answer["adaptation_id"], "queries": answer["queries"]}
    predicted: dict[str, Any] = client.post("/predict", json=body).raise_for_status().json()
    return predicted


@pytest.mark.parametrize("name", ["numbers", "images", "decisions"])
def test_an_old_adaptation_answers_the_same(client: TestClient, name: str) -> None:
    answer, predicted = ANSWERS[name], predict(client, ANSWERS[name])
    if answer["probabilities"]:
        assert predicted["predictions"] == answer["predictions"]
        assert_same(np.array(predicted["probabilities"]), np.array(answer["probabilities"]))
    else:
        assert_same(np.array(predicted["predictions"]), np.array(answer["predictions"]))


@pytest.mark.parametrize("name", ["numbers", "decisions"])
def test_its_examples_are_shown_as_before(client: TestClient, name: str) -> None:
    answer = ANSWERS[name]
    assert client.get(f"/adaptations/{answer['adaptation_id']}/support").json() == answer["support"]


def test_its_key_still_finds_it(client: TestClient) -> None:
    answer = ANSWERS["key"]
    repeat = client.post("/adapt", json=answer["body"], headers={"Idempotency-Key": answer["key"]})
    assert repeat.json()["adaptation_id"] == answer["adaptation_id"]


def test_an_old_adaptation_to_images_has_arrays_and_grows_by_files(client: TestClient) -> None:
    answer = ANSWERS["images"]
    path = f"/adaptations/{answer['adaptation_id']}/support"
    assert np.shape(client.get(path).json()["inputs"]) == (4, 784)
    more = {"inputs": answer["inputs"][:2], "targets": ["ma", "ka"]}
    client.post(path, json=more).raise_for_status()
    support = {"inputs": [*answer["inputs"], *more["inputs"]], "targets": [*answer["targets"], *more["targets"]]}
    body = {"model": "omniglot", "support": support, "queries": answer["queries"]}
    fresh = client.post("/predict", json=body).raise_for_status().json()
    grown = predict(client, answer)
    assert grown["predictions"] == fresh["predictions"]
    assert_same(np.array(grown["probabilities"]), np.array(fresh["probabilities"]))
