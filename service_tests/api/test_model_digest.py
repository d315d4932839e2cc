"""Requests for one version of a model alone, and examples that are kept by their position."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.encoders.numbers import NumbersEncoder
from service_tests.api.requests import QUERIES, adapt, body, examples, reload
from service_tests.bundles import write_encoder_bundle

OTHER = 64 * "0"
TYPE = "urn:problem-type:innerloop:other-version"


@pytest.fixture
def client(serve: Callable[..., TestClient], own_models: Path) -> TestClient:
    return serve(models_dir=own_models)


def digest(client: TestClient, name: str = "sinusoid") -> str:
    return str(client.get(f"/models/{name}").json()["digest"])


def bodies(client: TestClient) -> dict[str, dict[str, Any]]:
    """A body for each path that takes `model_digest`."""
    adaptation = adapt(client)["adaptation_id"]
    return {
        "/adapt": body(),
        "/predict": {"adaptation_id": adaptation, "queries": QUERIES},
        "/propose": body(model="sinusoid-bayes", candidates=QUERIES, count=1, goal="learn"),
        f"/adaptations/{adaptation}/support": examples(2),
    }


def test_another_version_is_refused_and_nothing_is_stored(client: TestClient) -> None:
    for path, each in bodies(client).items():
        before = client.get("/adaptations").json()
        right = digest(client, each.get("model", "sinusoid"))
        refused = client.post(path, json=each | {"model_digest": OTHER})
        problem = refused.json()
        assert (refused.status_code, problem["type"], problem["place"]) == (409, TYPE, "model_digest")
        assert problem["model_digest"] == right
        assert f'expected {right}, got "{OTHER[:60]}...": read GET /models/' in problem["detail"]
        assert client.get("/adaptations").json() == before
        answer = client.post(path, json=each | {"model_digest": right})
        assert answer.json()["model_digest"] == right, path


@pytest.mark.parametrize("wrong", ["", "zz", OTHER[1:], f"{OTHER} ", OTHER.replace("0", "A")])
def test_what_is_no_digest(client: TestClient, wrong: str) -> None:
    for path, each in bodies(client).items():
        answer = client.post(path, json=each | {"model_digest": wrong})
        assert (answer.status_code, answer.json()["place"]) == (422, "model_digest")
        assert answer.json()["detail"].startswith("model_digest: expected 64 hexadecimal digits in small letters, got ")


def test_a_repeat_with_a_key_gets_the_first_result_although_the_bundle_was_replaced(
    client: TestClient, retrain: Callable[..., str]
) -> None:
    key, wanted = {"idempotency-key": "a"}, {"model_digest": digest(client)}
    first = client.post("/adapt", json=body(**wanted), headers=key).json()
    path = f"/adaptations/{first['adaptation_id']}/support"
    extended = client.post(path, json=examples(2) | wanted, headers=key).json()
    retrain(1.05)
    reload(client)
    assert client.post(path, json=examples(2) | wanted, headers=key).json() == extended
    assert client.post("/adapt", json=body(**wanted), headers=key).json()["adaptation_id"] == first["adaptation_id"]
    events = client.post("/adapt", json=body(**wanted), headers=key | {"accept": "text/event-stream"})
    assert f'"adaptation_id":"{first["adaptation_id"]}"' in events.text
    for other in ("b", "c"):
        refused = client.post("/adapt", json=body(**wanted), headers={"idempotency-key": other})
        assert refused.json()["type"] == TYPE
    assert client.post(path, json=examples(1) | wanted).json()["type"] == TYPE
    assert len(client.get("/adaptations").json()["adaptations"]) == 1


def test_a_body_that_only_the_other_version_takes_is_of_another_version(client: TestClient) -> None:
    answer = client.post("/adapt", json=body({"inputs": [[1, 2]], "targets": [1]}, model_digest=OTHER))
    assert answer.json()["type"] == TYPE


def test_lines_streams_and_csv(client: TestClient) -> None:
    right = digest(client)
    lines = [json.dumps(body(model_digest=each)) for each in (right, OTHER)]
    answers = client.post("/adapt", content="\n".join(lines), headers={"content-type": "application/x-ndjson"})
    first, second = map(json.loads, answers.text.splitlines())
    assert (first["model_digest"], second["type"]) == (right, TYPE)
    events = client.post("/adapt", json=body(model_digest=OTHER), headers={"accept": "text/event-stream"})
    assert events.json()["type"] == TYPE
    for path in ("/adapt?model=sinusoid&", f"/adaptations/{first['adaptation_id']}/support?"):
        for wanted, status in ((OTHER, 409), (right, 200)):
            answer = client.post(
                f"{path}model_digest={wanted}", content="x,target\n1,2\n", headers={"content-type": "text/csv"}
            )
            assert answer.status_code in (status, status + 1), answer.text


def test_versions_are_described(client: TestClient, retrain: Callable[..., str]) -> None:
    old = client.get("/models/sinusoid").json()
    new_digest = retrain(1.05)
    reload(client)
    assert client.get("/models/sinusoid").json()["digest"] == new_digest
    assert client.get("/models/sinusoid", params={"digest": old["digest"]}).json() == old
    unknown = client.get("/models/nothing", params={"digest": OTHER}).json()
    assert unknown["detail"].startswith("path.name: expected one of ")
    for name, wanted, text in (
        ("sinusoid", OTHER, 'query.digest: expected the digest of a version of "sinusoid" that the server has, got'),
        ("linear", old["digest"], 'query.digest: expected the digest of a version of "linear" that the server has'),
    ):
        answer = client.get(f"/models/{name}", params={"digest": wanted})
        assert (answer.status_code, answer.json()["place"]) == (404, "query.digest")
        assert answer.json()["detail"].startswith(text)
    for wrong in ("", "../../etc", OTHER[1:], OTHER.replace("0", "G")):
        answer = client.get("/models/sinusoid", params={"digest": wrong})
        assert answer.status_code == 422, answer.text
        assert "query.digest: expected `model_digest` of an adaptation" in answer.json()["detail"]


def test_a_version_that_is_pinned_is_described_after_a_restart(
    serve: Callable[..., TestClient], own_models: Path, retrain: Callable[..., str], tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"models_dir": own_models, "store": "sqlite", "state_dir": tmp_path / "state"}
    first = serve(**settings)
    old = adapt(first, pinned=True)["model_digest"]
    retrain(1.05)
    first.__exit__(None, None, None)
    second = serve(**settings)
    assert second.get("/models/sinusoid", params={"digest": old}).json()["digest"] == old
    assert second.get("/models/sinusoid").json()["digest"] != old


@pytest.mark.parametrize(
    ("names", "is_accepted"),
    [(["age", "dose"], True), (["dose", "age"], False), (["age", "weight"], False), ([], False)],
    ids=["the same", "in another order", "others", "none"],
)
def test_numbers_are_kept_by_position_and_need_the_same_names(
    serve: Callable[..., TestClient], tmp_path: Path, names: list[str], is_accepted: bool
) -> None:
    """Even after a restart, when the server no longer has the bundle that the examples were posted for."""
    folder = tmp_path / "models"
    write_encoder_bundle(folder / "doses", NumbersEncoder((2,), ("age", "dose")), seed=0)
    settings: dict[str, Any] = {"models_dir": folder, "store": "sqlite", "state_dir": tmp_path / "state"}
    first = serve(**settings)
    support = {"inputs": [[0.6, 0.2], [0.4, 0.1]], "targets": [1, 2]}
    adaptation = adapt(first, support, model="doses")
    query = {"adaptation_id": adaptation["adaptation_id"], "queries": [[0.5, 0.1]]}
    write_encoder_bundle(folder / "doses", NumbersEncoder((2,), tuple(names)), seed=1)
    reload(first)
    old, new = adaptation["model_digest"], digest(first, "doses")
    assert first.post("/predict", json=query).json()["model_digest"] == (new if is_accepted else old)
    first.__exit__(None, None, None)
    second = serve(**settings)
    answer = second.post("/predict", json=query)
    assert answer.status_code == (200 if is_accepted else 409), answer.text
    assert is_accepted or answer.json()["type"] == "urn:problem-type:innerloop:outgrown"
