"""A real server answers eagerly while it compiles in the background, and the same once compiled."""

import shutil
from pathlib import Path

import httpx
import pytest

from service_tests.processes import ROOT, command, running, wait_until

pytestmark = pytest.mark.compiled
SERVE = [command("innerloop"), "serve"]
BODY = {
    "model": "sinusoid",
    "support": {"inputs": [[0.1], [1.2], [2.0]], "targets": [0.3, 0.9, 0.8]},
    "queries": [[2.0], [4.0]],
}


def is_compiled(url: str) -> bool:
    return bool(httpx.get(f"{url}/health/ready").json()["compiled"])


def predictions(url: str) -> list[list[float]]:
    rows: list[list[float]] = httpx.post(f"{url}/predict", json=BODY).raise_for_status().json()["predictions"]
    return rows


def test_answers_stay_the_same_while_the_server_compiles(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "models/sinusoid", tmp_path / "models/sinusoid")
    with running(SERVE, tmp_path / "log", state_dir=tmp_path, models_dir=tmp_path / "models") as url:
        assert not is_compiled(url)
        eager = [pytest.approx(row, abs=1e-4) for row in predictions(url)]

        def same_answers_until_compiled() -> bool:
            assert predictions(url) == eager
            return is_compiled(url)

        wait_until(same_answers_until_compiled, "the server does not finish compiling")
        assert predictions(url) == eager
    assert (tmp_path / "cache").is_dir(), "compiled code must be in the state folder"


def test_the_compile_cache_has_its_own_setting(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "models/linear", tmp_path / "models/linear")
    folders = {"state_dir": tmp_path, "models_dir": tmp_path / "models", "cache_dir": tmp_path / "elsewhere"}
    with running(SERVE, tmp_path / "log", **folders) as url:
        wait_until(lambda: is_compiled(url), "the server does not finish compiling")
    assert any((tmp_path / "elsewhere").iterdir())
    assert not (tmp_path / "cache").exists()
