"""Bundles are replaced, added, broken and removed while the server serves, and no request notices."""

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

from app.bundles import load, write
from service_tests.api.ask import QUERIES, WAVE, adapt, afresh, assert_same, body, examples, predictions, reload
from service_tests.processes import SHIPPED, command, starting, wait_until


def stop(client: TestClient) -> None:
    client.__exit__(None, None, None)


def digest(client: TestClient, name: str = "sinusoid") -> str:
    return str(client.get(f"/models/{name}").json()["digest"])


@pytest.fixture
def client(serve: Callable[..., TestClient], own_models: Path) -> TestClient:
    return serve(models_dir=own_models)


def test_an_adaptation_is_derived_again_on_the_newer_bundle(client: TestClient, retrain: Callable[..., str]) -> None:
    made = adapt(client, label="x")
    it, before = made["adaptation_id"], predictions(client, made["adaptation_id"])
    newer = retrain(1.05)
    reload(client)
    assert digest(client) == newer
    assert client.get(f"/adaptations/{it}").json() == made, "only when it is asked"
    after = predictions(client, it)
    assert abs(after - before).max() > 1e-3
    assert_same(after, afresh(client, WAVE))
    found = client.get(f"/adaptations/{it}").json()
    assert (found["revision"], found["model_digest"]) == (2, newer)
    assert found["lineage"] == [made["model_digest"]]
    assert found["losses"] != made["losses"]
    assert {key: found[key] for key in ("label", "examples", "created_at", "expires_at")} == {
        key: made[key] for key in ("label", "examples", "created_at", "expires_at")
    }
    revisions = client.get(f"/adaptations/{it}/history").json()["revisions"]
    assert [each["change"] for each in revisions] == ["adapted", "rederived"]
    predictions(client, it)
    assert client.get(f"/adaptations/{it}").json()["revision"] == 2, "once"


@pytest.mark.parametrize("change", ["extend", "forget", "undo", "weights"])
def test_every_change_is_on_the_newer_bundle(client: TestClient, retrain: Callable[..., str], change: str) -> None:
    it = adapt(client)["adaptation_id"]
    path = f"/adaptations/{it}"
    client.post(f"{path}/support", json=examples(2))
    newer = retrain(1.05)
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
    found = client.get(path).json()
    assert (found["model_digest"], found["revision"]) == (newer, 3)
    support = client.get(f"{path}/support").json()
    assert_same(predictions(client, it), afresh(client, {key: support[key] for key in ("inputs", "targets")}))


def test_settings_that_were_not_asked_for_are_the_newer_bundles(client: TestClient, own_models: Path) -> None:
    plain, asked = adapt(client), adapt(client, steps=90, learning_rate=0.016)
    old = load(own_models / "sinusoid")
    bounds = dataclasses.replace(
        old.manifest.inner_loop, steps=3, max_steps=50, learning_rate=0.005, max_learning_rate=0.01
    )
    write(own_models / "sinusoid", dataclasses.replace(old.manifest, inner_loop=bounds), old.meta)
    reload(client)
    for made, steps, rate in ((plain, 3, 0.005), (asked, 50, 0.01)):
        predictions(client, made["adaptation_id"])
        found = client.get(f"/adaptations/{made['adaptation_id']}").json()
        assert (found["steps"], found["learning_rate"], len(found["losses"])) == (steps, rate, steps + 1)


@pytest.mark.parametrize("by", ["setting", "adaptation"])
def test_a_pinned_adaptation_stays(
    serve: Callable[..., TestClient], own_models: Path, retrain: Callable[..., str], by: str
) -> None:
    client = serve(models_dir=own_models, on_new_bundle="pin" if by == "setting" else "rederive")
    made = adapt(client, **({} if by == "setting" else {"pinned": True}))
    assert made["pinned"] is True
    it, before = made["adaptation_id"], predictions(client, made["adaptation_id"])
    old = made["model_digest"]
    newer = retrain(1.05)
    reload(client)
    assert_same(predictions(client, it), before)
    answer = client.post("/predict", json={"adaptation_id": it, "queries": QUERIES}).json()
    assert (answer["model_digest"], answer["revision"]) == (old, 1)
    assert adapt(client)["model_digest"] == newer
    extended = client.post(f"/adaptations/{it}/support", json=examples(2)).json()
    assert (extended["model_digest"], extended["pinned"]) == (old, True)

    asked = {"adaptation_id": it, "queries": QUERIES, "pinned": False}
    answer = client.post("/predict", json=asked).json()
    assert (answer["model_digest"], answer["revision"]) == (newer, 3)
    again = client.post("/predict", json={"adaptation_id": it, "queries": QUERIES}).json()
    assert again["predictions"] == answer["predictions"], "what is derived again does not go back"


def test_a_question_may_ask_for_the_older_bundle(client: TestClient, retrain: Callable[..., str]) -> None:
    made = adapt(client)
    it, before = made["adaptation_id"], predictions(client, made["adaptation_id"])
    newer = retrain(1.05)
    reload(client)
    asked = {"adaptation_id": it, "queries": QUERIES}
    pinned = client.post("/predict", json=asked | {"pinned": True}).json()
    assert (pinned["model_digest"], pinned["revision"]) == (made["model_digest"], 1)
    assert_same(before, pinned["predictions"])
    assert client.post("/predict", json=asked).json()["model_digest"] == newer
    # derived again, there is no way back: the older digest is not its own any more
    assert client.post("/predict", json=asked | {"pinned": True}).json()["model_digest"] == newer
    response = client.post("/predict", json={"model": "sinusoid", "queries": QUERIES, "pinned": True})
    assert (response.status_code, response.json()["place"]) == (422, "pinned")


def test_a_pinned_adaptation_is_derived_again_when_its_bundle_is_gone(
    serve: Callable[..., TestClient], own_models: Path, retrain: Callable[..., str], tmp_path: Path
) -> None:
    """The older one is in the memory of a process; the next one has it only from a folder."""
    settings: dict[str, Any] = {"models_dir": own_models, "store": "sqlite", "state_dir": tmp_path / "state"}
    first = serve(**settings)
    kept, gone = (adapt(first, examples(4, seed), pinned=True) for seed in (0, 1))
    shutil.copytree(own_models / "sinusoid", own_models / "sinusoid-2026")
    newer = retrain(1.05)
    stop(first)
    second = serve(**settings)
    answer = predict(second, kept["adaptation_id"])
    assert (answer["model_digest"], answer["revision"]) == (kept["model_digest"], 1), "a folder holds it"
    stop(second)
    shutil.rmtree(own_models / "sinusoid-2026")
    third = serve(**settings)
    answer = predict(third, gone["adaptation_id"])
    assert (answer["model_digest"], answer["revision"]) == (newer, 2)
    assert_same(answer["predictions"], afresh(third, examples(4, 1)))


def predict(client: TestClient, it: str) -> dict[str, Any]:
    response = client.post("/predict", json={"adaptation_id": it, "queries": QUERIES})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_a_broken_bundle_leaves_the_older_one_serving(client: TestClient, own_models: Path) -> None:
    made, was = adapt(client), digest(client)
    file = own_models / "sinusoid/weights.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:1000])
    reload(client)
    listed = client.get("/models").json()
    assert [each["name"] for each in listed["models"]] == SHIPPED
    (refused,) = listed["refused"]
    assert (refused["name"], refused["file"]) == ("sinusoid", "sinusoid/weights.safetensors")
    assert "one of the two was changed" in refused["reason"]
    assert digest(client) == was
    assert adapt(client)["losses"] == made["losses"]
    file.write_bytes(whole)
    reload(client)
    assert client.get("/models").json()["refused"] == []


def test_a_removed_bundle_serves_only_what_it_has_made(client: TestClient, own_models: Path) -> None:
    made = adapt(client)
    it, before = made["adaptation_id"], predictions(client, made["adaptation_id"])
    shutil.rmtree(own_models / "sinusoid")
    left = [name for name in SHIPPED if name != "sinusoid"]
    reload(client)
    assert client.get("/models/sinusoid").status_code == 404
    response = client.post("/adapt", json=body())
    assert (response.status_code, response.json()["models"]) == (404, left)
    assert_same(predictions(client, it), before)
    assert client.post(f"/adaptations/{it}/support", json=examples(2)).status_code == 200
    assert client.get("/health/ready").json()["models"] == left


def test_what_a_removed_bundle_made_is_answered_404_after_a_start(
    serve: Callable[..., TestClient], own_models: Path, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"models_dir": own_models, "store": "sqlite", "state_dir": tmp_path / "state"}
    first = serve(**settings)
    it = adapt(first)["adaptation_id"]
    stop(first)
    shutil.rmtree(own_models / "sinusoid")
    second = serve(**settings)
    response = second.post("/predict", json={"adaptation_id": it, "queries": QUERIES})
    assert response.status_code == 404
    assert response.json()["type"] == "urn:problem-type:innerloop:unknown-model"
    assert second.get(f"/adaptations/{it}").status_code == 200, "the record is there, for when the bundle is back"
    assert second.delete(f"/adaptations/{it}").status_code == 204


def test_no_bundle_at_all(client: TestClient, own_models: Path) -> None:
    shutil.rmtree(own_models)
    reload(client)
    assert client.get("/health/ready").status_code == 503
    assert client.post("/adapt", json=body()).status_code == 404


def test_a_new_folder_serves(client: TestClient, own_models: Path) -> None:
    assert client.post("/adapt", json=body(model="waves")).status_code == 404
    shutil.copytree(own_models / "sinusoid", own_models / "waves")
    reload(client)
    assert adapt(client, model="waves")["losses"] == adapt(client)["losses"]


def test_a_bundle_that_takes_other_examples(serve: Callable[..., TestClient], own_models: Path, tmp_path: Path) -> None:
    """What was made with the older one of the name goes on with it; when that is gone, it has to be made anew."""
    settings: dict[str, Any] = {"models_dir": own_models, "store": "sqlite", "state_dir": tmp_path / "state"}
    first = serve(**settings)
    it = adapt(first, examples(3), model="linear", steps=1)["adaptation_id"]
    before = predictions(first, it)
    plane(own_models / "linear")
    reload(first)
    assert first.get("/models/linear").json()["features"] == 3
    assert_same(predictions(first, it), before)
    assert first.post(f"/adaptations/{it}/support", json=examples(1)).status_code == 200
    stop(first)
    second = serve(**settings)
    path = f"/adaptations/{it}"
    for response in (
        second.post("/predict", json={"adaptation_id": it, "queries": [[1]]}),
        second.post("/predict", json={"adaptation_id": it, "queries": [[1, 2, 3]]}),
        second.post(f"{path}/undo"),
        second.post(f"{path}/support", json={"inputs": [[1, 2, 3]], "targets": [1]}),
        second.delete(f"{path}/support/0"),
        second.get(f"{path}/weights"),
    ):
        assert response.status_code == 409
        assert response.json()["type"] == "urn:problem-type:innerloop:outgrown"
    assert second.get(path).status_code == 200


def plane(folder: Path) -> None:
    """Replace the bundle of a line by one of a plane in three dimensions."""
    from app.bundles import FamilySpec, Schema
    from app.learn.networks import NetworkSpec, initialize
    from app.learn.ood import OODReference

    old = load(folder).manifest
    manifest = dataclasses.replace(
        old,
        family=FamilySpec("linear", {"features": 3, "targets": 1}),
        network=NetworkSpec("linear", {"inputs": 3, "outputs": 1}),
        schema=Schema(3, 1),
        ood_reference=OODReference(),
    )
    write(folder, manifest, initialize("linear", {"inputs": 3, "outputs": 1}, seed=0))


def test_an_evaluation_is_exchanged_without_a_newer_model(client: TestClient, own_models: Path) -> None:
    made = adapt(client)
    old = load(own_models / "sinusoid")
    write(own_models / "sinusoid", dataclasses.replace(old.manifest, evaluation={"by_shots": {}}), old.meta)
    reload(client)
    found = client.get("/models/sinusoid").json()
    assert found["evaluation"] == {"by_shots": {}}
    assert found["digest"] == made["model_digest"]
    predictions(client, made["adaptation_id"])
    assert client.get(f"/adaptations/{made['adaptation_id']}").json() == made


def test_no_request_fails_while_bundles_are_exchanged(
    serve_live: Callable[..., str], own_models: Path, retrain: Callable[..., str]
) -> None:
    """20 clients adapt and predict while the two files are replaced again and again, watched as they are."""
    url = serve_live(models_dir=own_models, watch=True)
    done, failed, served = threading.Event(), [], set()

    def hammer(number: int) -> int:
        count = 0
        with httpx.Client(base_url=url, timeout=30) as client:
            ids: list[str] = []
            while not done.is_set():
                adapted = client.post("/adapt", json=body(examples(3, count)))
                ids = [*ids[-3:], adapted.json().get("adaptation_id", "")]
                asked = [client.post("/predict", json={"adaptation_id": it, "queries": QUERIES}) for it in ids]
                for response in (adapted, *asked):
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
                wait_until(lambda: digests[-1] in served, "the newer one does not serve", 30)
        finally:
            done.set()
        assert min(each.result() for each in running) > 1
    assert failed == []
    assert served >= set(digests)


def test_the_folder_is_watched(serve_live: Callable[..., str], own_models: Path) -> None:
    url = serve_live(models_dir=own_models, watch=True)
    shutil.copytree(own_models / "sinusoid", own_models / "waves")
    wait_until(lambda: httpx.get(f"{url}/models/waves").status_code == 200, "the new folder is not seen", 20)
    (own_models / "waves/bundle.json").write_text("{")
    wait_until(lambda: httpx.get(f"{url}/models").json()["refused"] != [], "the broken one is not seen", 20)
    assert httpx.post(f"{url}/adapt", json=body(model="waves")).status_code == 201
    shutil.rmtree(own_models / "waves")
    wait_until(lambda: httpx.get(f"{url}/models/waves").status_code == 404, "that it is gone is not seen", 20)
    assert httpx.get(f"{url}/models").json()["refused"] == []


def test_without_watching_sighup_reloads(tmp_path: Path, own_models: Path, retrain: Callable[..., str]) -> None:
    settings = {"compile": False, "watch": False, "store": "memory", "models_dir": own_models, "state_dir": tmp_path}
    with starting([command("innerloop"), "serve"], tmp_path / "log", **settings) as (url, process):
        it = httpx.post(f"{url}/adapt", json=body()).json()["adaptation_id"]
        newer = retrain(1.05)
        with pytest.raises(AssertionError):
            wait_until(lambda: httpx.get(f"{url}/models/sinusoid").json()["digest"] == newer, "it is not watched", 2)
        os.kill(process.pid, signal.SIGHUP)
        wait_until(lambda: httpx.get(f"{url}/models/sinusoid").json()["digest"] == newer, "it is not read", 20)
        answer = httpx.post(f"{url}/predict", json={"adaptation_id": it, "queries": QUERIES}).json()
        assert (answer["model_digest"], answer["revision"]) == (newer, 2)


def test_a_folder_that_cannot_be_watched_is_said(
    serve: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: Path) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("app.service.reloader.awatch", full)
    client = serve(watch=True)
    wait_until(lambda: "is not watched, send SIGHUP instead: no space left" in caplog.text, "it is not said", 10)
    assert client.get("/health/ready").status_code == 200


def test_a_reload_that_fails_is_not_the_last(
    client: TestClient, retrain: Callable[..., str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reloader = client.app.state.reloader  # type: ignore[attr-defined]
    with monkeypatch.context() as broken:
        broken.setattr("app.service.reloader.load_all", lambda _: (_ for _ in ()).throw(OSError("disk on fire")))
        reloader.request()
        wait_until(lambda: "disk on fire" in caplog.text, "it is not read", 10)
    newer = retrain(1.05)
    reloader.request()
    wait_until(lambda: digest(client) == newer, "it is not read", 10)
