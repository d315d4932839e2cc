import json
import shutil
from pathlib import Path

import pytest
import torch

from app.cli.checks import bundles
from app.cli.checks.finding import Finding
from service_tests.processes import ROOT

SHIPPED = ROOT / "models"


def check(folder: Path) -> list[Finding]:
    return list(bundles.check(folder, torch.device("cpu")))


def test_the_shipped_bundles_load() -> None:
    (finding,) = check(SHIPPED)
    assert finding.mark == "ok"
    assert finding.message.startswith("choices, driving, intents, linear, ")


def test_a_damaged_bundle_is_a_problem_of_its_own(tmp_path: Path) -> None:
    for name in ("linear", "sinusoid"):
        shutil.copytree(SHIPPED / name, tmp_path / name)
    weights = tmp_path / "linear/weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    good, bad = check(tmp_path)
    assert (good.mark, good.message) == ("ok", f"sinusoid (in {tmp_path})")
    assert bad.mark == "problem"
    assert bad.message.startswith(f"{weights}: ")
    assert bad.message.endswith("correct or replace the bundle linear, or move it out of the folder")


def test_a_network_that_fails_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_network_of_doctor.py").write_text("raise RuntimeError('no licence file')")
    shutil.copytree(SHIPPED / "linear", tmp_path / "models/linear")
    file = tmp_path / "models/linear/bundle.json"
    contents = json.loads(file.read_text()) | {"network": {"name": "broken_network_of_doctor:Net", "options": {}}}
    file.write_text(json.dumps(contents))
    (finding,) = check(tmp_path / "models")
    assert finding.mark == "problem"
    assert "no licence file" in finding.message


@pytest.mark.parametrize(("name", "actual"), [(".", "one without bundles"), ("nowhere", "no such folder")])
def test_no_bundles_are_a_problem(tmp_path: Path, name: str, actual: str) -> None:
    (finding,) = check(tmp_path / name)
    assert finding.mark == "problem"
    assert f"expected a folder with at least one bundle, got {actual}: put a bundle into it" in finding.message
