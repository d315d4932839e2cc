import json
import shutil
from pathlib import Path

import pytest

from service_tests.cli.commands import innerloop
from service_tests.processes import ROOT

ON_30_TASKS = [1.7425578653812408, 0.8761295247823]


def test_evaluate_prints_the_table() -> None:
    result = innerloop(
        "evaluate", "linear", "--steps", "2", "--tasks", "50", "--shots", "3", "--shots", "7", "--no-write"
    )
    assert result.returncode == 0, result.stderr
    assert "2 steps" in result.stdout
    assert "±" in result.stdout


@pytest.mark.parametrize("way", ["offline", "over HTTP"])
def test_evaluate_writes_the_scores(live_server: str, tmp_path: Path, way: str) -> None:
    shutil.copytree(ROOT / "models/linear", tmp_path / "models/linear")
    server = ["--server", live_server] if way == "over HTTP" else []
    result = innerloop("evaluate", "linear", "--steps", "1", "--tasks", "30", "--shots", "5", *server, folder=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    evaluation = json.loads((tmp_path / "models/linear/bundle.json").read_text())["evaluation"]
    scores = evaluation["over_http"] if server else evaluation
    assert (scores["tasks"], scores["steps"], list(scores["by_shots"])) == (30, [0, 1, 20], ["5"])
    assert scores["by_shots"]["5"]["mean"][:2] == pytest.approx(ON_30_TASKS, rel=1e-3), "both ways score the same tasks"
    assert ("asked over HTTP" in (tmp_path / "models/linear/CARD.md").read_text()) == bool(server)
    assert (tmp_path / "models/linear/weights.safetensors").read_bytes() == (
        ROOT / "models/linear/weights.safetensors"
    ).read_bytes()
