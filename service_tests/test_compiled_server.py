"""The real server: eager at first, then compiled, in the background, and the same answers all the while."""

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


def compiled(url: str) -> bool:
    return bool(httpx.get(f"{url}/health/ready").json()["compiled"])


def predictions(url: str) -> list[list[float]]:
    answers: list[list[float]] = httpx.post(f"{url}/predict", json=BODY).raise_for_status().json()["predictions"]
    return answers


def test_eager_serves_while_compiling_and_compiled_gives_the_same(tmp_path: Path) -> None:
    with running(SERVE, tmp_path / "log", state_dir=tmp_path) as url:
        assert not compiled(url)
        eager = [pytest.approx(row, abs=1e-4) for row in predictions(url)]

        def same_answers_until_compiled() -> bool:
            assert predictions(url) == eager
            return compiled(url)

        wait_until(same_answers_until_compiled, "it does not compile")
        assert predictions(url) == eager
    assert (tmp_path / "cache").is_dir(), "compiled code is kept in the state folder"


def test_the_compile_cache_has_its_own_setting(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "models/linear", tmp_path / "models/linear")
    folders = {"state_dir": tmp_path, "models_dir": tmp_path / "models", "cache_dir": tmp_path / "elsewhere"}
    with running(SERVE, tmp_path / "log", **folders) as url:
        wait_until(lambda: compiled(url), "it does not compile")
    assert any((tmp_path / "elsewhere").iterdir())
    assert not (tmp_path / "cache").exists()
