"""The blocks of the guide's page about tables run, on a part of its tables and with a small budget."""

import gzip
import json
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import chdir
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.training import calibration, tables
from app.training.tables.baselines import boosting
from service_tests.cli.commands import innerloop
from service_tests.processes import DATA, ROOT

pytest.importorskip("pyarrow", reason="an extra: pip install 'innerloop-server[tables]'")
pytest.importorskip("sklearn", reason="an extra: pip install 'innerloop-server[tables]'")
PAGE = (ROOT / "app/docs/tables.md").read_text()
CONSOLE, BASH, PYTHON = (re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL) for kind in ("console", "bash", "python"))
SOURCE = "https://vincentarelbundock.github.io/Rdatasets has the tables, as CSV"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the first rows of both tables, and the bundle that the first block trains."""
    folder = tmp_path_factory.mktemp("guide")
    for name, rows in (("hsb82", 1_100), ("nox_emissions", 600)):
        file = DATA / f"panels/{name}.csv.gz"
        if not file.exists():
            pytest.skip(SOURCE)
        lines = gzip.decompress(file.read_bytes()).decode().splitlines(keepends=True)
        (folder / f"{name}.csv").write_text("".join(lines[: rows + 1]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boosting, "MAX_ITERATIONS", 10)
        patch.setattr(calibration, "TASKS", 50)
        command = next(line for line in CONSOLE[0].splitlines() if line.startswith("innerloop train"))
        small = ["--support", "3", "--algorithm", "alpaca", "--outer-steps", "20"]
        result = innerloop(*shlex.split(command)[1:], *small, folder=folder)
        assert result.returncode == 0, result.stderr
        assert "orth serving" in result.stdout
        yield folder


def test_curl(folder: Path, serve_live: Callable[..., str]) -> None:
    url = serve_live(models_dir=folder / "models")
    script = BASH[0].replace("localhost:8000", url)
    result = subprocess.run(["bash", "-ec", script], capture_output=True, text=True, timeout=60, check=True)
    answer = json.loads(result.stdout)
    assert answer["lower"][0][0] < answer["predictions"][0][0] < answer["upper"][0][0]


def test_python(folder: Path, serve_live: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNERLOOP_URL", serve_live(models_dir=folder / "models"))
    names: dict[str, Any] = {}
    with chdir(folder):
        exec(PYTHON[0], names)
    answer = names["answer"]
    assert list(answer.predictions.index) == list(names["others"].index)
    assert (answer.lower < answer.predictions).all()
    assert (answer.predictions < answer.upper).all()
    names["innerloop"].close()


def test_a_forecast(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = partial(tables.train_table, algorithm="alpaca", outer_steps=20, support=(3,))
    monkeypatch.setattr(tables, "train_table", small)
    with chdir(folder):
        exec(PYTHON[1], {})
    assert "The first rows of a task are known" in (folder / "models/nox/CARD.md").read_text()
    assert json.loads((folder / "models/nox/bundle.json").read_text())["family"]["options"]["order"] == "hour"


def test_every_block_is_tested() -> None:
    assert (len(CONSOLE), len(BASH), len(PYTHON)) == (1, 1, 2)
