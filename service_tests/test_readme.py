"""Every block of the README runs as it is printed."""

import json
import math
import re
import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service_tests.benchmarks.report import RESULTS
from service_tests.benchmarks.table import page
from service_tests.processes import ROOT, running

README = (ROOT / "README.md").read_text()
BASH = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
JSON = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
CONSOLE = re.findall(r"```console\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that is started by the first block, on a free port."""
    state = tmp_path_factory.mktemp("state")
    with running(["bash", "-c", f"exec {BASH[0]}"], state / "log", compile=False, state_dir=state) as url:
        yield url


def bash(script: str) -> str:
    result = subprocess.run(["bash", "-ec", script], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_the_first_screen_adapts_and_predicts(url: str) -> None:
    adapt, predict = (block.replace("http://", "").replace("localhost:8000", url) for block in BASH[1:3])
    predictions = [row[0] for row in json.loads(bash(f"{adapt}\n{predict}"))["predictions"]]
    response = json.loads(bash(adapt.partition("$(")[2].partition("|")[0]))
    printed, truth = (
        [float(cell) for cell in re.findall(rf"^\| {label} \|(.*)\|$", README, re.MULTILINE)[0].split("|")]
        for label in ("prediction", re.escape("4 sin(x)"))
    )
    assert printed == pytest.approx(predictions, abs=0.01)
    assert truth == pytest.approx([4 * math.sin(x) for x in (-3, 1, 3)], abs=0.01)
    assert printed == pytest.approx(truth, abs=0.1)
    first, last = re.findall(r"from ([0-9.]+) down to ([0-9.]+)\. Then predict", README)[0]
    assert [float(first), float(last)] == pytest.approx([response["losses"][0], response["losses"][-1]], rel=0.05)
    assert len(response["losses"]) == 6


def test_the_python_client_adapts_and_predicts(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INNERLOOP_URL", url)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(PYTHON[0], names)
    predictions, lower, *losses = capsys.readouterr().out.splitlines()
    printed = re.findall(r"print\(pump.predict\(queries\).round\(2\)\)  # \[(.*)\]", PYTHON[0])[0]
    shown, bound = (np.array(line.strip("[]").split(), float) for line in (predictions, lower))
    assert shown == pytest.approx(np.array(printed.split(), float), abs=0.01)
    assert (bound < shown).all()
    assert len(losses) == 6
    assert float(losses[-1]) < 0.001 < 12 < float(losses[0])
    assert names["pump"].examples == [0, 1, 2, 4]
    assert (tmp_path / "pump.safetensors").stat().st_size > 1000
    assert [adaptation.losses[0] < 13 for adaptation in (names["small"], names["large"])] == [True, True]


def test_it_is_short_and_begins_with_code() -> None:
    lines = README.splitlines()
    assert len(lines) <= 200
    assert any("make serve" in line for line in lines[:15])


def test_a_wrong_request_gets_the_printed_problem(url: str) -> None:
    problem = json.loads(bash(BASH[3].replace("localhost:8000", url)))
    assert problem == json.loads(JSON[0])


def test_the_command_draws(url: str) -> None:
    assert "mean squared error after adapting" in bash(BASH[4])


def test_every_block_is_tested() -> None:
    assert len(BASH) == 5
    assert len(JSON) == len(PYTHON) == 1
    # these blocks install something or take minutes; test_train.py and building the image test what they start
    assert [line.split("#")[0].strip() for block in CONSOLE for line in block.splitlines()] == [
        ".venv/bin/pip install --editable '.[tables]'",
        ".venv/bin/innerloop train --table visits.csv --task patient --target pain",
        "make .venv/train",
        ".venv/bin/innerloop train sinusoid --name waves",
    ]


def test_links_lead_to_existing_files() -> None:
    folders = (".", "app/docs", "app/client", "app/client/typescript", "models/*")
    documents = [file for folder in folders for file in ROOT.glob(f"{folder}/*.md")]
    links = [(file, link) for file in documents for link in re.findall(r"\]\(([^)#\s]+)", file.read_text())]
    local = [(file, link) for file, link in links if not link.startswith("http")]
    assert len(local) > 100
    assert [(str(file), link) for file, link in local if not (file.parent / link).exists()] == []


def result_rows(benchmark: str) -> list[dict[str, Any]]:
    """The rows of a result file."""
    rows: list[dict[str, Any]] = json.loads((RESULTS / f"{benchmark}.json").read_text())["rows"]
    return rows


def test_the_page_of_the_benchmarks_is_that_of_their_results() -> None:
    assert (ROOT / "app/docs/performance.md").read_text() == page()


def test_the_figures_of_choices_in_the_guide_match_the_results() -> None:
    guide = (ROOT / "app/docs/decisions.md").read_text()
    for row in result_rows("choices"):
        score = f"{row['log_likelihood']:.3f} ± {row['log_likelihood_95']:.3f}"
        (line,) = (line for line in guide.splitlines() if line.startswith(f"| {row['way']} | {score} |"))
        assert f"| {100 * row['accuracy']:.1f} ± {100 * row['accuracy_95']:.1f} % |" in line


def test_the_figures_of_texts_in_the_guide_match_the_results() -> None:
    guide, rows = (ROOT / "app/docs/text.md").read_text(), result_rows("text_accuracy")
    for ways, names in product((5, 15), (True, False)):
        settings = [f"{ways}-way {shots}-shot{' with names' if names else ''}" for shots in (1, 5)]
        splits = [[row["accuracy"] for row in rows if row["setting"] == setting] for setting in settings]
        one, five = (f"{sum(each) / len(each):.1f} %" for each in splits)
        assert f"| {ways} classes, {'with' if names else 'without'} label names | {one} | {five} |" in guide
    for shots in (5, 10):
        (row,) = (row for row in rows if row["setting"] == f"intents, {shots}-shot with names")
        assert f"{row['accuracy']:.1f} %" in guide


def test_the_top_level_has_only_the_intended_files(tmp_path: Path) -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    top = {line.partition("/")[0] for line in tracked.splitlines()}
    assert top == {
        ".ci", ".dockerignore", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "Dockerfile", "LICENSE", "Makefile",
        "README.md", "app", "constraints.txt", "docker-compose.yml", "models", "pyproject.toml", "service_tests",
    }  # fmt: skip
