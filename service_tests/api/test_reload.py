"""Bundles are replaced, added, broken and removed while the server runs, and no request fails."""

import dataclasses
import os
import shutil
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from app.bundles.folder import load, write
from service_tests.api.requests import (
    QUERIES,
    WAVE,
    adapt,
    assert_same,
    body,
    examples,
    fresh_predictions,
    predictions,
    reload,
)
from service_tests.processes import SHIPPED, command, starting_fork, wait_until


def stop(client: TestClient) -> None:
    client.__exit__(None, None, None)


def digest(client: TestClient, name: str = "sinusoid") -> str:
    return str(client.get(f"/models/{name}").json()["digest"])


@pytest.fixture
def client(serve: Callable[..., TestClient], own_models: Path) -> TestClient:
    return serve(models_dir=own_models)


def test_an_adaptation_is_derived_again_on_the_newer_bundle(client: TestClient, retrain: Callable[..., str]) -> None:
    original = adapt(client, label="x")
    adaptation_id, before = original["adaptation_id"], predictions(client, original["adaptation_id"])
    new_digest = retrain(1.05)
    reload(client)
    assert digest(client) == new_digest
    assert client.get(f"/adaptations/{adaptation_id}").json() == original, (
        "the adaptation is derived again only when it is used"
    )
    after = predictions(client, adaptation_id)
    assert abs(after - before).max() > 1e-3
    assert_same(after, fresh_predictions(client, WAVE))
    adaptation = client.get(f"/adaptations/{adaptation_id}").json()
    assert (adaptation["revision"], adaptation["model_digest"]) == (2, new_digest)
    assert adaptation["lineage"] == [original["model_digest"]]
    assert adaptation["losses"] != original["losses"]
    assert {key: adaptation[key] for key in ("label", "examples", "created_at", "expires_at")} == {
        key: original[key] for key in ("label", "examples", "created_at", "expires_at")
    }
    revisions = client.get(f"/adaptations/{adaptation_id}/history").json()["revisions"]
    assert [each["change"] for each in revisions] == ["adapted", "rederived"]
    predictions(client, adaptation_id)
    assert client.get(f"/adaptations/{adaptation_id}").json()["revision"] == 2, (
        "the adaptation is derived again only once"
    )


@pytest.mark.parametrize("change", ["extend", "forget", "undo", "weights"])
def test_every_change_uses_the_newer_bundle(client: TestClient, retrain: Callable[..., str], change: str) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    path = f"/adaptations/{adaptation_id}"
    client.post(f"{path}/support", json=examples(2))
    new_digest = retrain(1.05)
    reload(client)
    match change:
        case "extend":
            client.post(f"{path}/support", json=examples(3, 1))
        case "forget":
            client.delete(f"{path}/support/0")
        case "undo":
            client.post(f"{path}/undo")
        case _:
            assert client.get(f"{path}/weights").status_code == 200
    adaptation = client.get(path).json()
    assert (adaptation["model_digest"], adaptation["revision"]) == (new_digest, 3)
    support = client.get(f"{path}/support").json()
    assert_same(
        predictions(client, adaptation_id),
        fresh_predictions(client, {key: support[key] for key in ("inputs", "targets")}),
    )


def test_settings_follow_the_defaults_and_bounds_of_the_newer_bundle(client: TestClient, own_models: Path) -> None:
    plain, customized = adapt(client), adapt(client, steps=90, learning_rate=0.016)
    old = load(own_models / "sinusoid")
    bounds = dataclasses.replace(
        old.manifest.inner_loop, steps=3, max_steps=50, learning_rate=0.005, max_learning_rate=0.01
    )
    write(own_models / "sinusoid", dataclasses.replace(old.manifest, inner_loop=bounds), old.meta)
    reload(client)
    for original, steps, rate in ((plain, 3, 0.005), (customized, 50, 0.01)):
        predictions(client, original["adaptation_id"])
        adaptation = client.get(f"/adaptations/{original['adaptation_id']}").json()
        assert (adaptation["steps"], adaptation["learning_rate"], len(adaptation["losses"])) == (steps, rate, steps + 1)


@pytest.mark.parametrize("pinned_by", ["setting", "adaptation"])
def test_a_pinned_adaptation_keeps_its_bundle(
    serve: Callable[..., TestClient], own_models: Path, retrain: Callable[..., str], pinned_by: str
) -> None:
    client = serve(models_dir=own_models, on_new_bundle="pin" if pinned_by == "setting" else "rederive")
    adaptation = adapt(client, **({} if pinned_by == "setting" else {"pinned": True}))
    assert adaptation["pinned"] is True
    adaptation_id, before = adaptation["adaptation_id"], predictions(client, adaptation["adaptation_id"])
    old_digest = adaptation["model_digest"]
    new_digest = retrain(1.05)
    reload(client)
    assert_same(predictions(client, adaptation_id), before)
    answer = client.post("/predict", json={"adaptation_id": adaptation_id, "queries": QUERIES}).json()
    assert (answer["model_digest"], answer["revision"]) == (old_digest, 1)
    assert adapt(client)["model_digest"] == new_digest
    extended = client.post(f"/adaptations/{adaptation_id}/support", json=examples(2)).json()
    assert (extended["model_digest"], extended["pinned"]) == (old_digest, True)

    query = {"adaptation_id": adaptation_id, "queries": QUERIES}
    pinned = client.post("/predict", json=query).json()
    body = {"adaptation_id": adaptation_id, "queries": QUERIES, "pinned": False}
    answer = client.post("/predict", json=body).json()
    assert (answer["model_digest"], answer["revision"]) == (new_digest, 2)
    assert client.post("/predict", json=query).json() == pinned, "one request does not end the pin"


def test_predict_can_pin_the_older_bundle(client: TestClient, retrain: Callable[..., str]) -> None:
    adaptation = adapt(client)
    adaptation_id, before = adaptation["adaptation_id"], predictions(client, adaptation["adaptation_id"])
    new_digest = retrain(1.05)
    reload(client)
    payload = {"adaptation_id": adaptation_id, "queries": QUERIES}
    pinned = client.post("/predict", json=payload | {"pinned": True}).json()
    assert (pinned["model_digest"], pinned["revision"]) == (adaptation["model_digest"], 1)
    assert_same(before, pinned["predictions"])
    assert client.post("/predict", json=payload).json()["model_digest"] == new_digest
    # the adaptation was derived again, so the older digest is no longer its own
    assert client.post("/predict", json=payload | {"pinned": True}).json()["model_digest"] == new_digest
    response = client.post("/predict", json={"model": "sinusoid", "queries": QUERIES, "pinned": True})
    assert (response.status_code, response.json()["place"]) == (422, "pinned")


def test_a_request_without_the_pin_leaves_the_adaptation_pinned(
    client: TestClient, retrain: Callable[..., str]
) -> None:
    pinned = adapt(client, pinned=True)
    before = predict(client, pinned["adaptation_id"])
    new_digest = retrain(1.05)
    reload(client)
    payload = {"adaptation_id": pinned["adaptation_id"], "queries": QUERIES, "pinned": False}
    answer = client.post("/predict", json=payload).json()
    assert answer["model_digest"] == new_digest
    assert_same(answer["predictions"], fresh_predictions(client, WAVE))
    assert predict(client, pinned["adaptation_id"]) == before
    assert client.get(f"/adaptations/{pinned['adaptation_id']}").json() == pinned


def test_a_pin_survives_a_restart(
    serve: Callable[..., TestClient], own_models: Path, retrain: Callable[..., str], tmp_path: Path
) -> None:
    """The older bundle is kept in the state folder; where it is gone from there too, the pin is not broken silently."""
    settings: dict[str, Any] = {"models_dir": own_models, "store": "sqlite", "state_dir": tmp_path / "state"}
    first = serve(**settings)
    pinned = adapt(first, examples(4), pinned=True)
    before, digest = predict(first, pinned["adaptation_id"]), pinned["model_digest"]
    new_digest = retrain(1.05)
    stop(first)
    second = serve(**settings)
    answer = predict(second, pinned["adaptation_id"])
    assert (answer["model_digest"], answer["revision"]) == (digest, 1)
    assert_same(answer["predictions"], before["predictions"])
    more = second.post(f"/adaptations/{pinned['adaptation_id']}/support", json=examples(2)).json()
    assert (more["model_digest"], more["revision"]) == (digest, 2)
    stop(second)
    shutil.rmtree(tmp_path / "state/bundles" / digest)
    third = serve(**settings)
    body = {"adaptation_id": pinned["adaptation_id"], "queries": QUERIES}
    refused = third.post("/predict", json=body)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:problem-type:innerloop:pinned-bundle-gone")
    assert digest in refused.json()["detail"]
    assert third.get(f"/adaptations/{pinned['adaptation_id']}").json() == more, "the record itself is there"
    answer = third.post("/predict", json=body | {"pinned": False}).json()
    assert (answer["model_digest"], answer["revision"]) == (new_digest, 2)


def predict(client: TestClient, adaptation_id: str) -> dict[str, Any]:
    response = client.post("/predict", json={"adaptation_id": adaptation_id, "queries": QUERIES})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_a_broken_bundle_leaves_the_older_one_serving(client: TestClient, own_models: Path) -> None:
    adaptation, old_digest = adapt(client), digest(client)
    file = own_models / "sinusoid/weights.safetensors"
    contents = file.read_bytes()
    file.write_bytes(contents[:1000])
    reload(client)
    listed = client.get("/models").json()
    assert [each["name"] for each in listed["models"]] == SHIPPED
    (refused,) = listed["refused"]
    assert (refused["name"], refused["file"]) == ("sinusoid", "sinusoid/weights.safetensors")
    assert "one of the files was changed" in refused["reason"]
    assert digest(client) == old_digest
    assert adapt(client)["losses"] == adaptation["losses"]
    file.write_bytes(contents)
    reload(client)
    assert client.get("/models").json()["refused"] == []


def test_a_removed_bundle_serves_only_its_existing_adaptations(client: TestClient, own_models: Path) -> None:
    adaptation = adapt(client)
    adaptation_id, before = adaptation["adaptation_id"], predictions(client, adaptation["adaptation_id"])
    shutil.rmtree(own_models / "sinusoid")
    remaining = [name for name in SHIPPED if name != "sinusoid"]
    reload(client)
    assert client.get("/models/sinusoid").status_code == 404
    response = client.post("/adapt", json=body())
    assert (response.status_code, response.json()["models"]) == (404, remaining)
    assert_same(predictions(client, adaptation_id), before)
    assert client.post(f"/adaptations/{adaptation_id}/support", json=examples(2)).status_code == 200
    assert client.get("/health/ready").json()["models"] == remaining


def test_adaptations_of_a_removed_bundle_get_404_after_a_restart(
    serve: Callable[..., TestClient], own_models: Path, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"models_dir": own_models, "store": "sqlite", "state_dir": tmp_path / "state"}
    first = serve(**settings)
    adaptation_id = adapt(first)["adaptation_id"]
    stop(first)
    shutil.rmtree(own_models / "sinusoid")
    second = serve(**settings)
    response = second.post("/predict", json={"adaptation_id": adaptation_id, "queries": QUERIES})
    assert response.status_code == 404
    assert response.json()["type"] == "urn:problem-type:innerloop:unknown-model"
    assert second.get(f"/adaptations/{adaptation_id}").status_code == 200, (
        "the record is still there, in case the bundle comes back"
    )
    assert second.delete(f"/adaptations/{adaptation_id}").status_code == 204


def test_the_server_runs_on_without_any_bundle(client: TestClient, own_models: Path) -> None:
    shutil.rmtree(own_models)
    reload(client)
    assert client.get("/health/ready").status_code == 503
    assert client.post("/adapt", json=body()).status_code == 404


def test_a_new_folder_serves(client: TestClient, own_models: Path) -> None:
    assert client.post("/adapt", json=body(model="waves")).status_code == 404
    shutil.copytree(own_models / "sinusoid", own_models / "waves")
    reload(client)
    assert adapt(client, model="waves")["losses"] == adapt(client)["losses"]


def test_adaptations_that_no_longer_fit_their_bundle_get_409_after_a_restart(
    serve: Callable[..., TestClient], own_models: Path, tmp_path: Path
) -> None:
    """An adaptation keeps the older bundle while the process has it; after a restart it is refused."""
    settings: dict[str, Any] = {"models_dir": own_models, "store": "sqlite", "state_dir": tmp_path / "state"}
    first = serve(**settings)
    adaptation_id = adapt(first, examples(3), model="linear", steps=1)["adaptation_id"]
    before = predictions(first, adaptation_id)
    replace_by_three_features(own_models / "linear")
    reload(first)
    assert first.get("/models/linear").json()["features"] == 3
    assert_same(predictions(first, adaptation_id), before)
    assert first.post(f"/adaptations/{adaptation_id}/support", json=examples(1)).status_code == 200
    stop(first)
    second = serve(**settings)
    path = f"/adaptations/{adaptation_id}"
    for response in (
        second.post("/predict", json={"adaptation_id": adaptation_id, "queries": [[1]]}),
        second.post("/predict", json={"adaptation_id": adaptation_id, "queries": [[1, 2, 3]]}),
        second.post(f"{path}/undo"),
        second.post(f"{path}/support", json={"inputs": [[1, 2, 3]], "targets": [1]}),
        second.delete(f"{path}/support/0"),
        second.get(f"{path}/weights"),
    ):
        assert response.status_code == 409
        assert response.json()["type"] == "urn:problem-type:innerloop:outgrown"
    assert second.get(path).status_code == 200


def replace_by_three_features(folder: Path) -> None:
    """Replace a bundle of 1 feature by one of 3 features."""
    from app.bundles.manifest import FamilySpec
    from app.bundles.schema import Schema
    from app.learn.calibration_table import Calibration
    from app.learn.networks import NetworkSpec, initialize
    from app.learn.support_ood import OODReference

    old = load(folder).manifest
    manifest = dataclasses.replace(
        old,
        family=FamilySpec("linear", {"features": 3, "targets": 1}),
        network=NetworkSpec("linear", {"inputs": 3, "outputs": 1}),
        schema=Schema(3, 1),
        ood_reference=OODReference(),
        calibration=Calibration(),
    )
    write(folder, manifest, initialize("linear", {"inputs": 3, "outputs": 1}, seed=0))


def test_a_new_evaluation_is_shown_under_the_same_digest(client: TestClient, own_models: Path) -> None:
    adaptation = adapt(client)
    old = load(own_models / "sinusoid")
    write(own_models / "sinusoid", dataclasses.replace(old.manifest, evaluation={"by_shots": {}}), old.meta)
    reload(client)
    model = client.get("/models/sinusoid").json()
    assert model["evaluation"] == {"by_shots": {}}
    assert model["digest"] == adaptation["model_digest"]
    predictions(client, adaptation["adaptation_id"])
    assert client.get(f"/adaptations/{adaptation['adaptation_id']}").json() == adaptation


def test_no_request_fails_while_bundles_are_replaced(
    serve_live: Callable[..., str], own_models: Path, retrain: Callable[..., str]
) -> None:
    """20 clients adapt and predict while the two files of a watched bundle are replaced again and again."""
    url = serve_live(models_dir=own_models, watch=True)
    done, failed, served = threading.Event(), [], set()

    def hammer(number: int) -> int:
        count = 0
        with httpx.Client(base_url=url, timeout=30) as client:
            ids: list[str] = []
            while not done.is_set():
                adapted = client.post("/adapt", json=body(examples(3, count)))
                ids = [*ids[-3:], adapted.json().get("adaptation_id", "")]
                predicted = [client.post("/predict", json={"adaptation_id": each, "queries": QUERIES}) for each in ids]
                for response in (adapted, *predicted):
                    count += 1
                    if response.is_success:
                        served.add(response.json()["model_digest"])
                    else:
                        failed.append(response.text)
        return count

    digests = []
    with ThreadPoolExecutor(20) as threads:
        running = [threads.submit(hammer, number) for number in range(20)]
        try:
            for scale in (1.01, 1.02, 1.03):
                digests.append(retrain(scale))
                wait_until(lambda: digests[-1] in served, "the new bundle does not serve", 30)
        finally:
            done.set()
        assert min(each.result() for each in running) > 1
    assert failed == []
    assert served >= set(digests)


def test_the_folder_is_watched(serve_live: Callable[..., str], own_models: Path) -> None:
    url = serve_live(models_dir=own_models, watch=True)
    shutil.copytree(own_models / "sinusoid", own_models / "waves")
    wait_until(lambda: httpx.get(f"{url}/models/waves").status_code == 200, "the new folder is not noticed", 20)
    (own_models / "waves/bundle.json").write_text("{")
    wait_until(lambda: httpx.get(f"{url}/models").json()["refused"] != [], "the broken bundle is not noticed", 20)
    assert httpx.post(f"{url}/adapt", json=body(model="waves")).status_code == 201
    shutil.rmtree(own_models / "waves")
    wait_until(lambda: httpx.get(f"{url}/models/waves").status_code == 404, "the removed folder is not noticed", 20)
    assert httpx.get(f"{url}/models").json()["refused"] == []


def test_without_watching_sighup_reloads(tmp_path: Path, own_models: Path, retrain: Callable[..., str]) -> None:
    settings = {"compile": False, "watch": False, "store": "memory", "models_dir": own_models, "state_dir": tmp_path}
    with starting_fork([command("innerloop"), "serve"], tmp_path / "log", **settings) as (url, process):
        adaptation_id = httpx.post(f"{url}/adapt", json=body()).json()["adaptation_id"]
        new_digest = retrain(1.05)
        with pytest.raises(AssertionError):
            wait_until(
                lambda: httpx.get(f"{url}/models/sinusoid").json()["digest"] == new_digest,
                "the folder is not watched",
                2,
            )
        os.kill(process.pid, signal.SIGHUP)
        wait_until(
            lambda: httpx.get(f"{url}/models/sinusoid").json()["digest"] == new_digest, "the bundle is not reloaded", 20
        )
        answer = httpx.post(f"{url}/predict", json={"adaptation_id": adaptation_id, "queries": QUERIES}).json()
        assert (answer["model_digest"], answer["revision"]) == (new_digest, 2)


def test_a_folder_that_cannot_be_watched_is_logged(
    serve: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: Path) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("app.service.reloader.awatch", full)
    client = serve(watch=True)
    wait_until(
        lambda: ' cannot be watched ("no space left on device"): send SIGHUP' in caplog.text,
        "the failure is not logged",
        10,
    )
    assert client.get("/health/ready").status_code == 200


def test_reloading_continues_after_a_failure(
    client: TestClient, retrain: Callable[..., str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reloader = client.app.state.reloader  # type: ignore[attr-defined]
    with monkeypatch.context() as broken:
        broken.setattr("app.service.reloader.load_all", lambda _: (_ for _ in ()).throw(OSError("disk on fire")))
        reloader.request()
        wait_until(lambda: "disk on fire" in caplog.text, "the failure is not logged", 10)
    new_digest = retrain(1.05)
    reloader.request()
    wait_until(lambda: digest(client) == new_digest, "the bundle is not reloaded", 10)
