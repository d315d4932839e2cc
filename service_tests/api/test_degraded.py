"""What a server answers, and what /health/ready says, when a part of it does not work; and that it heals."""

import asyncio
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.api.error_responses import outermost
from app.storage.sqlite_file import FILE
from service_tests.api.requests import QUERIES, adapt, body, predictions, reload
from service_tests.conftest import Work
from service_tests.disks import Disk, small_disk
from service_tests.processes import MAML, command, free_port, starting_fork, wait_until
from service_tests.storage.servers import redis_server

STORE_FAILED = "urn:problem-type:innerloop:store-failed"


@pytest.fixture(autouse=True)
def checked_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.service.health.CHECK_S", 0.05)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk") as disk:
        yield disk


def ready(client: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client.get("/health/ready").json()
    return answer


def wait_until_ready(client: Any, seconds: float = 10) -> None:
    wait_until(lambda: ready(client)["status"] == "ready", "it does not heal", seconds)


def assert_503(answer: Any, fix: str) -> None:
    assert answer.status_code == 503
    assert answer.json()["type"] == STORE_FAILED
    assert fix in answer.json()["detail"]
    assert answer.headers["retry-after"] == "1"


def test_on_a_full_disk_nothing_is_stored_and_all_else_goes_on(
    serve: Callable[..., TestClient], disk: Disk, own_models: Path, retrain: Callable[..., str]
) -> None:
    client = serve(store="sqlite", state_dir=disk.folder, models_dir=own_models)
    ids = [adapt(client)["adaptation_id"] for _ in range(3)]
    before = predictions(client, ids[0])
    disk.fill()
    fix = f"The disk that holds the folder `{disk.folder}` is full ("
    for _ in range(2):
        assert_503(client.post("/adapt", json=body()), fix)
    assert_503(client.post("/adapt", json=body(pinned=True)), fix)
    assert_503(client.post(f"/adaptations/{ids[0]}/support", json={"inputs": [[1]], "targets": [1]}), fix)
    health = client.get("/health/ready")
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert health.json()["degraded"]["disk"].startswith(fix)
    assert (predictions(client, ids[0]) == before).all()
    assert client.get(f"/adaptations/{ids[0]}").status_code == 200
    assert len(client.get("/adaptations").json()["adaptations"]) == 3
    assert client.delete(f"/adaptations/{ids[1]}").status_code == 204
    assert client.delete(f"/adaptations/{ids[2]}/support/0").status_code == 200
    assert client.post("/predict", json=body(queries=QUERIES)).status_code == 200
    # a newer bundle: what is derived again cannot be stored, but it can be answered
    new_digest = retrain(1.05)
    reload(client)
    answer = client.post("/predict", json={"adaptation_id": ids[0], "queries": QUERIES}).json()
    assert (answer["model_digest"], answer["revision"]) == (new_digest, 1)
    after = predictions(client, ids[0])
    disk.empty()
    wait_until_ready(client)
    assert (predictions(client, ids[0]) == after).all()
    assert client.get(f"/adaptations/{ids[0]}").json()["revision"] == 2
    assert client.post("/adapt", json=body()).status_code == 201


def test_a_server_that_is_killed_starts_on_the_full_disk(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/sinusoid").symlink_to(MAML)  # alone: the server starts in half the time
    settings: dict[str, Any] = {
        "compile": False,
        "watch": False,
        "state_dir": disk.folder / "state",
        "models_dir": tmp_path / "models",
    }
    with starting_fork([command("innerloop"), "serve"], tmp_path / "log", **settings) as (url, process):
        ids = [httpx.post(f"{url}/adapt", json=body()).json()["adaptation_id"] for _ in range(3)]
        disk.fill()
        assert_503(httpx.post(f"{url}/adapt", json=body()), " is full (")
        disk.fill()  # others take what the reserve was
        process.send_signal(signal.SIGKILL)
    with starting_fork([command("innerloop"), "serve"], tmp_path / "log", **settings) as (url, process):
        assert "disk" in httpx.get(f"{url}/health/ready").json()["degraded"]
        asked = {"adaptation_id": ids[0], "queries": QUERIES}
        assert httpx.post(f"{url}/predict", json=asked).status_code == 200
        assert httpx.post(f"{url}/predict", json=body(queries=QUERIES)).status_code == 200
        assert_503(httpx.post(f"{url}/adapt", json=body()), " is full (")
        disk.empty()
        wait_until(lambda: httpx.post(f"{url}/adapt", json=body()).status_code == 201, "it does not heal", 10)
        assert httpx.delete(f"{url}/adaptations/{ids[1]}").status_code == 204
    log = (tmp_path / "log").read_text()
    assert log.count("degraded: disk: ") == 1
    assert log.count("no longer degraded: disk") == 1
    assert "Traceback" not in log


def test_a_read_only_folder_is_served_and_written_once_that_is_possible(
    serve: Callable[..., TestClient], disk: Disk
) -> None:
    client = serve(store="sqlite", state_dir=disk.folder)
    adaptation_id = adapt(client)["adaptation_id"]
    before = predictions(client, adaptation_id)
    client.__exit__(None, None, None)
    disk.set_writable(False)
    client = serve(store="sqlite", state_dir=disk.folder)
    assert ready(client)["status"] == "degraded"
    assert (predictions(client, adaptation_id) == before).all()
    assert client.post("/predict", json=body(queries=QUERIES)).status_code == 200
    fix = "mount its file system writable"
    assert fix in ready(client)["degraded"]["store"]
    assert_503(client.post("/adapt", json=body()), fix)
    assert_503(client.delete(f"/adaptations/{adaptation_id}"), fix)
    disk.set_writable(True)
    wait_until_ready(client)
    assert client.post("/adapt", json=body()).status_code == 201
    assert client.delete(f"/adaptations/{adaptation_id}").status_code == 204


def test_a_read_only_folder_without_a_database_is_served_too(serve: Callable[..., TestClient], disk: Disk) -> None:
    disk.set_writable(False)
    client = serve(store="sqlite", state_dir=disk.folder)
    health = client.get("/health/ready")
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    fix = "mount its file system writable"
    assert fix in health.json()["degraded"]["store"]
    assert client.post("/predict", json=body(queries=QUERIES)).status_code == 200
    assert_503(client.post("/adapt", json=body()), fix)
    assert_503(client.post("/adapt", json=body(pinned=True)), "check the permissions of the folder")
    assert client.get("/adaptations").json()["adaptations"] == []
    disk.set_writable(True)
    wait_until_ready(client)
    predictions(client, adapt(client)["adaptation_id"])


def test_without_redis_the_server_starts_and_goes_on_when_redis_comes_and_goes(
    serve: Callable[..., TestClient], tmp_path: Path
) -> None:
    port = free_port()
    client = serve(store="redis", redis_url=f"redis://127.0.0.1:{port}")
    assert_503(client.post("/adapt", json=body()), "check that Redis runs, and that INNERLOOP_REDIS_URL is its address")
    assert client.post("/predict", json=body(queries=QUERIES)).status_code == 200
    health = client.get("/health/ready")
    assert (health.status_code, health.json()["status"]) == (503, "the store cannot be read")
    assert f"Redis at 127.0.0.1:{port}" in health.json()["degraded"]["store"]
    with redis_server(tmp_path, port, "--appendonly", "yes"):
        wait_until_ready(client)
        adaptation_id = adapt(client)["adaptation_id"]
    assert_503(
        client.post("/predict", json={"adaptation_id": adaptation_id, "queries": QUERIES}), "check that Redis runs"
    )
    assert client.get("/health/ready").status_code == 503
    with redis_server(tmp_path, port, "--appendonly", "yes"):
        wait_until_ready(client)
        predictions(client, adaptation_id)


def test_a_deadline_covers_a_redis_that_hangs(
    serve_live: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.storage.redis.TIMEOUT_S", 3.0)
    port = free_port()
    with redis_server(tmp_path, port) as process:
        url = serve_live(store="redis", redis_url=f"redis://127.0.0.1:{port}")
        adaptation_id = httpx.post(f"{url}/adapt", json=body()).json()["adaptation_id"]
        adaptation = f"/adaptations/{adaptation_id}"
        process.send_signal(signal.SIGSTOP)
        started = time.monotonic()
        for method, path, payload in (
            ("POST", "/adapt", body()),
            ("POST", "/adapt", body(reuse=True)),
            ("POST", "/predict", {"adaptation_id": adaptation_id, "queries": QUERIES}),
            ("DELETE", f"{adaptation}/support/0", None),
            ("GET", f"{adaptation}/weights", None),
        ):
            answer = httpx.request(method, url + path, json=payload, headers={"x-timeout-ms": "100"})
            assert answer.status_code == 504, (path, answer.text)
        headers = {"x-timeout-ms": "100", "accept": "text/event-stream"}
        events = httpx.post(f"{url}/adapt", json=body(), headers=headers).text
        assert "deadline-passed" in events
        assert time.monotonic() - started < 2.5
        process.send_signal(signal.SIGCONT)
        wait_until(lambda: httpx.post(f"{url}/adapt", json=body()).status_code == 201, "it does not heal", 10)


def test_another_program_that_locks_the_sqlite_file(
    serve: Callable[..., TestClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.storage.sqlite_transactions.TIMEOUT_S", 0.5)
    client = serve(store="sqlite", state_dir=tmp_path)
    adaptation_id = adapt(client)["adaptation_id"]
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert client.post("/adapt", json=body(), headers={"x-timeout-ms": "100"}).status_code == 504
    assert_503(client.post("/adapt", json=body()), "close the other program that uses the file")
    assert "close the other program" in ready(client)["degraded"]["store"]
    predictions(client, adaptation_id)
    other.execute("ROLLBACK")
    other.close()
    wait_until_ready(client)
    assert client.post("/adapt", json=body()).status_code == 201


def test_a_bundle_that_is_refused_degrades(
    client: TestClient, serve: Callable[..., TestClient], own_models: Path
) -> None:
    assert ready(client)["status"] == "ready"
    (own_models / "linear/bundle.json").write_text("{")
    answer = serve(models_dir=own_models).get("/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert "linear: expected JSON, got " in answer.json()["degraded"]["models"]


def test_a_damaged_bundle_of_pinned_adaptations_degrades_until_it_is_restored(
    serve: Callable[..., TestClient], own_models: Path, retrain: Callable[..., str], tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"store": "sqlite", "state_dir": tmp_path / "state", "models_dir": own_models}
    client = serve(**settings)
    adaptation = adapt(client, pinned=True)
    asked = {"adaptation_id": adaptation["adaptation_id"], "queries": QUERIES}
    client.__exit__(None, None, None)
    retrain(1.05)
    weights = tmp_path / "state/bundles" / adaptation["model_digest"] / "sinusoid/weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole + b"rubbish")
    client = serve(**settings)
    for _ in range(2):
        assert client.post("/predict", json=asked).status_code == 409
    health = client.get("/health/ready")
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert "restore the bundle in the store from a backup" in health.json()["degraded"]["pinned"]
    weights.write_bytes(whole)
    wait_until_ready(client)
    assert client.post("/predict", json=asked).json()["model_digest"] == adaptation["model_digest"]


def test_a_background_task_that_fails_degrades(
    serve: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise KeyError("unexpected")

    monkeypatch.setattr("app.main.sweep", fails)
    client = serve()
    wait_until(lambda: ready(client)["status"] == "degraded", "it is not noticed", 5)
    assert ready(client)["failing"] == {"sweep": "KeyError: 'unexpected'"}


def test_work_that_does_not_end_is_an_unusable_server(
    serve_live: Callable[..., str], work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.service.work_queue.STUCK_S", 0.1)
    with httpx.Client(base_url=serve_live(), timeout=30) as client:
        work.hold()
        assert client.post("/adapt", json=body(), headers={"x-timeout-ms": "50"}).status_code == 504
        wait_until(lambda: ready(client)["status"] == "the worker does not answer", "it is not noticed", 5)
        assert "restart the server" in ready(client)["degraded"]["worker"]
        assert client.get("/health/ready").status_code == 503
        work.release()
        wait_until_ready(client)


def test_work_that_fails_is_told_until_some_succeeds(
    serve: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve(raise_server_exceptions=False)

    def broken(*_: object) -> None:
        raise RuntimeError("CUDA error: the device is lost")

    monkeypatch.setattr("app.service.engine.Engine.seconds", lambda *_: float("inf"))
    with monkeypatch.context() as breaking:
        breaking.setattr("app.service.engine.Engine.run", broken)
        assert client.post("/predict", json=body(queries=QUERIES)).status_code == 500
        wait_until(lambda: ready(client)["status"] == "degraded", "it is not noticed", 5)
        assert "the device is lost" in ready(client)["degraded"]["worker"]
    assert client.post("/predict", json=body(queries=QUERIES)).status_code == 200
    wait_until_ready(client)


def test_a_request_that_is_cancelled_gets_a_503_and_no_traceback() -> None:
    sent: list[Any] = []
    application = FastAPI()

    @application.get("/")
    async def cancelled() -> None:
        raise asyncio.CancelledError

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    asyncio.run(outermost(application)(scope, receive, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == 503
    assert b"shutting down" in sent[1]["body"]
