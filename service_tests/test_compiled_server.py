"""The real server: eager at first, then compiled, in the background, and the same answers all the while."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from service_tests.conftest import ROOT, wait_until_ready

pytestmark = pytest.mark.compiled
BODY = {
    "model": "sinusoid",
    "support": {"inputs": [[0.1], [1.2], [2.0]], "targets": [0.3, 0.9, 0.8]},
    "queries": [[2.0], [4.0]],
}


@contextmanager
def server(state: Path, **settings: str) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = os.environ | settings | {"INNERLOOP_STATE_DIR": str(state), "INNERLOOP_PORT": port}
    command = [Path(sys.executable).with_name("innerloop"), "serve"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=(state / "log").open("w")) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            wait_until_ready(url)
            yield url
        finally:
            process.terminate()
    assert process.returncode in (0, -15)


def test_eager_serves_while_compiling_and_compiled_gives_the_same(tmp_path: Path) -> None:
    with server(tmp_path) as url, httpx.Client(base_url=url, timeout=60) as client:
        assert client.get("/health/ready").json()["compiled"] is False
        eager = client.post("/predict", json=BODY).raise_for_status().json()["predictions"]
        deadline = time.monotonic() + 240
        while not client.get("/health/ready").json()["compiled"]:
            found = client.post("/predict", json=BODY).raise_for_status().json()["predictions"]
            assert found == [pytest.approx(row, abs=1e-4) for row in eager]
            assert time.monotonic() < deadline
            time.sleep(0.2)
        compiled = client.post("/predict", json=BODY).raise_for_status().json()["predictions"]
        assert compiled == [pytest.approx(row, abs=1e-4) for row in eager]
    assert (tmp_path / "cache").is_dir(), "compiled code is kept in the state folder"
    assert "serves" in (tmp_path / "log").read_text()


def test_the_compile_cache_has_its_own_setting(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "models/linear", tmp_path / "models/linear")
    cache = tmp_path / "elsewhere"
    with server(tmp_path, INNERLOOP_CACHE_DIR=str(cache), INNERLOOP_MODELS_DIR=str(tmp_path / "models")) as url:
        deadline = time.monotonic() + 240
        while not httpx.get(f"{url}/health/ready").json()["compiled"]:
            assert time.monotonic() < deadline
            time.sleep(0.2)
    assert any(cache.iterdir())
    assert not (tmp_path / "cache").exists()
