import json
import os
import re
import shutil
from pathlib import Path

import pytest

from service_tests.cli.commands import innerloop
from service_tests.processes import ROOT, SHIPPED


def test_models_lists_the_good_and_the_bad(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "models", tmp_path / "models")
    (tmp_path / "models/linear/bundle.json").write_text("{")
    result = innerloop("models", folder=tmp_path)
    assert result.returncode == 0
    assert "sinusoid" in result.stdout
    assert "linear is refused" in result.stdout


def test_models_fits_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "COLUMNS", "80")
    _, *rows = innerloop("models").stdout.splitlines()
    assert [row.split()[0] for row in rows] == SHIPPED, "a bundle a line, by its whole name"
    assert "…" not in "".join(rows)
    rates = {row.split()[0]: row.split()[-2] for row in rows}
    assert [rates[name] for name in ("omniglot", "sinusoid", "linear")] == ["none", "learned", "0.2"]


def test_calibrate_writes_the_calibration_again(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "models/linear", tmp_path / "models/linear")
    manifest = tmp_path / "models/linear/bundle.json"
    before = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(before | {"calibration": before["calibration"] | {"seed": 1}}))
    result = innerloop("calibrate", "linear", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert re.fullmatch(
        r"calibration: measured on [\d,]+ tasks of each support size\n"
        r"OOD reference: measured on [\d,]+ tasks of each support size\n"
        r"wrote models/linear/bundle\.json\n",
        result.stdout,
    )
    after = json.loads(manifest.read_text())
    assert after["calibration"]["seed"] == before["calibration"]["seed"]
    assert after["calibration"]["tasks"] > 0
    assert after["schema"].items() >= before["schema"].items(), "a bundle from before has what it does not use left out"
    written = {"ood_reference": 0, "calibration": 0, "schema": 0}
    assert after | written == before | written
    assert (tmp_path / "models/linear/weights.safetensors").read_bytes() == (
        ROOT / "models/linear/weights.safetensors"
    ).read_bytes()
