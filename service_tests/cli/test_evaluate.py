import json
import shutil
from pathlib import Path

import pytest

from service_tests.cli.commands import innerloop
from service_tests.cli.point import write_point
from service_tests.processes import ROOT

ON_30_TASKS = [1.7425578653812408, 0.8761295247823]
ON_50_TASKS = {"3-shot": [1.57, 0.772, 0.495, 0.118], "7-shot": [1.59, 0.74, 0.426, 0.0278]}
"""After 0, 1, 2 and 20 steps."""


def test_evaluate_prints_the_table(tmp_path: Path) -> None:
    bundle = tmp_path / "models/linear"
    shutil.copytree(ROOT / "models/linear", bundle)
    before = {file.name: file.read_bytes() for file in bundle.iterdir()}
    words = ["linear", "--steps", "2", "--tasks", "50", "--shots", "3", "--shots", "7", "--no-write"]
    result = innerloop("evaluate", *words, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "the mean over 50 tasks of the test split" in result.stdout
    scores, calibration, unlike = (
        [[cell.strip() for cell in line.split("|")[1:-1]] for line in block.splitlines()]
        for block in result.stdout.split("\n\n")
        if block.startswith("|")
    )
    assert scores[0][-2:] == ["2 steps", "20 steps"]
    means = {shots: [float(cell.partition(" ± ")[0]) for cell in cells] for shots, *cells in scores[2:]}
    assert means == {shots: pytest.approx(expected, rel=0.02) for shots, expected in ON_50_TASKS.items()}
    assert calibration[0][-1] == "ms per task"
    assert all(float(cell.rstrip(" %")) > 0 for row in calibration[2:] for cell in row[1:])
    heads = ["", "like training, marked `unlike`", "true values inside 90 % intervals"]
    heads += ["true values inside 90 % intervals, for the queries furthest from the examples", "interval score"]
    assert unlike[0] == [*heads, "outside, marked `unlike`", "outside, with an interval"]
    assert [(row[0], *row[5:]) for row in unlike[2:]] == [
        ("3-shot", "100.0 %", "0.0 %"),
        ("7-shot", "100.0 %", "0.0 %"),
    ]
    assert all(float(row[1].rstrip(" %")) < 5 for row in unlike[2:])
    assert {file.name: file.read_bytes() for file in bundle.iterdir()} == before, "--no-write"


def test_no_scores_measures_unlike_alone(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "models/linear", tmp_path / "models/linear")
    manifest, card = tmp_path / "models/linear/bundle.json", tmp_path / "models/linear/CARD.md"
    before = json.loads(manifest.read_text())
    words = ["linear", "--no-scores", "--tasks", "30", "--write"]
    result = innerloop("evaluate", *words, folder=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    after = json.loads(manifest.read_text())
    measured = after["evaluation"].pop("unlike")
    assert (measured["tasks"], measured["split"], list(measured["by_setting"])) == (30, "test", ["5-shot", "10-shot"])
    del before["evaluation"]["unlike"]
    assert after["evaluation"] == before["evaluation"]
    assert "Measured on 30 fresh tasks" in card.read_text()
    table = result.stdout.rpartition("\n\n")[2].strip()
    assert table.splitlines()[2].startswith("| 5-shot | ")
    assert table in card.read_text()


@pytest.mark.parametrize("way", ["offline", "over HTTP"])
def test_evaluate_writes_the_scores(live_server: str, tmp_path: Path, way: str) -> None:
    shutil.copytree(ROOT / "models/linear", tmp_path / "models/linear")
    server = ["--server", live_server] if way == "over HTTP" else []
    words = ["linear", "--steps", "1", "--tasks", "30", "--shots", "5", "--write", *server]
    result = innerloop("evaluate", *words, folder=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    evaluation = json.loads((tmp_path / "models/linear/bundle.json").read_text())["evaluation"]
    scores = evaluation["over_http"] if server else evaluation
    assert (scores["tasks"], scores["steps"], list(scores["by_shots"])) == (30, [0, 1, 20], ["5"])
    assert scores["by_shots"]["5"]["mean"][:2] == pytest.approx(ON_30_TASKS, rel=1e-3), "both ways score the same tasks"
    assert evaluation["unlike"]["tasks"] == (300 if server else 30), "the server's predictions are only scored"
    assert ("over HTTP" in (tmp_path / "models/linear/CARD.md").read_text()) == bool(server)
    assert (tmp_path / "models/linear/weights.safetensors").read_bytes() == (
        ROOT / "models/linear/weights.safetensors"
    ).read_bytes()


@pytest.mark.parametrize("way", ["offline", "over HTTP", "unlike alone"])
def test_scores_of_fewer_tasks_are_not_written_by_default(live_server: str, tmp_path: Path, way: str) -> None:
    bundle = tmp_path / "models/linear"
    shutil.copytree(ROOT / "models/linear", bundle)
    before = {file.name: file.read_bytes() for file in bundle.iterdir()}
    more = {"offline": [], "over HTTP": ["--server", live_server], "unlike alone": ["--no-scores"]}[way]
    result = innerloop("evaluate", "linear", "--steps", "1", "--tasks", "3", "--shots", "5", *more, folder=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    stored = 300 if way == "unlike alone" else 600
    said = f"wrote nothing, as the scores of linear are of {stored} tasks, and these of 3: add --write to replace them"
    assert result.stdout.splitlines()[-1] == said
    assert {file.name: file.read_bytes() for file in bundle.iterdir()} == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--server", "http://127.0.0.1:9"], "leave --server or --no-scores out"),
        ([], "--no-scores: expected a bundle that has scores, got point, which has none"),
    ],
)
def test_what_no_scores_cannot_do(tmp_path: Path, words: list[str], message: str) -> None:
    write_point(tmp_path / "models")
    result = innerloop("evaluate", "point", "--no-scores", *words, folder=tmp_path)
    assert result.returncode == 1
    assert message in result.stderr
