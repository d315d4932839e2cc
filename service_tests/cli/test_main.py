import json
import shutil
import subprocess
from pathlib import Path

import pytest

from service_tests.processes import ROOT, SHIPPED
from service_tests.processes import command as program

ON_30_TASKS = [1.7425578653812408, 0.8761295247823]


def innerloop(*words: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [program("innerloop"), *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_models_lists_the_good_and_the_bad(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "models", tmp_path / "models")
    (tmp_path / "models/linear/bundle.json").write_text("{")
    done = innerloop("models", folder=tmp_path)
    assert done.returncode == 0
    assert "sinusoid" in done.stdout
    assert "linear is refused" in done.stdout


def test_evaluate_prints_the_table() -> None:
    done = innerloop(
        "evaluate", "linear", "--steps", "2", "--tasks", "50", "--shots", "3", "--shots", "7", "--no-write"
    )
    assert done.returncode == 0, done.stderr
    assert "2 steps" in done.stdout
    assert "±" in done.stdout


def test_compare_prints_a_row_an_algorithm() -> None:
    words = ["--algorithms", "maml,ridge", "--outer-steps", "20", "--eager", "--set", "validation_tasks=10"]
    done = innerloop("compare", "linear", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    for shown in ("maml: ", "ridge: ", "20 outer steps of 100 tasks each", "paired by tasks", "ms a task"):
        assert shown in " ".join(done.stdout.split())


@pytest.mark.parametrize("where", ["here", "through a server"])
def test_evaluate_writes_what_it_finds(live_server: str, tmp_path: Path, where: str) -> None:
    shutil.copytree(ROOT / "models/linear", tmp_path / "models/linear")
    asked = ["--server", live_server] if where == "through a server" else []
    done = innerloop("evaluate", "linear", "--steps", "1", "--tasks", "30", "--shots", "5", *asked, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads((tmp_path / "models/linear/bundle.json").read_text())["evaluation"]
    found = written["over_http"] if asked else written
    assert (found["tasks"], found["steps"], list(found["by_shots"])) == (30, [0, 1, 20], ["5"])
    assert found["by_shots"]["5"]["mean"][:2] == pytest.approx(ON_30_TASKS, rel=1e-3), "both ways score the same tasks"
    assert ("asked over HTTP" in (tmp_path / "models/linear/CARD.md").read_text()) == bool(asked)
    assert (tmp_path / "models/linear/weights.safetensors").read_bytes() == (
        ROOT / "models/linear/weights.safetensors"
    ).read_bytes()


def test_calibrate_writes_the_calibration_again(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "models/linear", tmp_path / "models/linear")
    manifest = tmp_path / "models/linear/bundle.json"
    before = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(before | {"calibration": before["calibration"] | {"seed": 1}}))
    done = innerloop("calibrate", "linear", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    after = json.loads(manifest.read_text())
    assert after["calibration"]["seed"] == before["calibration"]["seed"]
    assert after["calibration"]["tasks"] > 0
    assert after["schema"].items() >= before["schema"].items(), "a bundle from before has what it does not use left out"
    written = {"ood_reference": 0, "calibration": 0, "schema": 0}
    assert after | written == before | written
    assert (tmp_path / "models/linear/weights.safetensors").read_bytes() == (
        ROOT / "models/linear/weights.safetensors"
    ).read_bytes()


@pytest.mark.parametrize("where", ["in this process", "a server"])
def test_try_adapts_predicts_and_draws(live_server: str, where: str) -> None:
    done = innerloop("try", "sinusoid", *(["--server", live_server] if where == "a server" else []))
    assert done.returncode == 0, done.stderr
    before, after = (float(line.rsplit(" ", 1)[1]) for line in done.stdout.splitlines()[:2])
    assert after < before
    for name in ("truth", "before", "after", "support"):
        assert name in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("evaluate", "nothing"), "models/nothing/bundle.json: the file is missing"),
        (("try", "nothing"), f"there is no model 'nothing'; choose one of {', '.join(SHIPPED)}"),
        (("try", "--server", "http://127.0.0.1:9"), "no server answers at http://127.0.0.1:9"),
        (("train", "cosinusoid"), "there is no family 'cosinusoid'; the families here: "),
        (("train", "linear", "--option", "colour=3"), "the family 'linear' has no option colour; its options: features, targets"),
        (("train", "linear", "--algorithm", "magic"), "there is no algorithm 'magic'"),
        (("train", "linear", "--set", "decay=sudden"), "decay is one of constant, cosine, got 'sudden'"),
        (("train", "linear", "--set", "colour=3"), "the recipe has no setting colour; its settings: family, "),
        (("serve", "--port", "70000"), "less than or equal to 65535"),
    ],
)
def test_what_goes_wrong_is_said_in_a_line(words: tuple[str, ...], message: str) -> None:
    done = innerloop(*words)
    assert done.returncode == 1
    said = " ".join((done.stdout + done.stderr).split())
    assert message in said
    assert "Traceback" not in said
