"""A stranger's package: installed by pip, its family trains, serves and is listed like ours."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from service_tests.processes import ROOT

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "strange-parabolas"
version = "1.0"

[project.entry-points."innerloop.families"]
parabola = "strange_parabolas:Parabola"
sinusoid = "strange_parabolas:Parabola"

[project.entry-points."innerloop.recipes"]
parabola = "strange_parabolas:recipe"
"""

MODULE = '''
from dataclasses import dataclass

import torch

from app.families.family import Samples
from app.learn.networks import NetworkSpec
from app.training.recipes.recipe import Recipe


@dataclass(frozen=True)
class Parabola:
    """y = a x^2."""

    most: float = 2.0
    kind = "regression"
    features = 1
    targets = 1
    network = NetworkSpec("mlp", {"inputs": 1, "outputs": 1, "hidden": [8]})

    def sample(self, tasks, examples, generator, ways=None, split="training"):
        a = self.most * torch.rand(tasks, 1, 1, generator=generator)
        x = torch.rand(tasks, examples, 1, generator=generator)
        return Samples(x, a * x**2)


def recipe():
    return Recipe("parabola", outer_steps=30, family_options={"most": 3.0})
'''

SERVE = """
import json, sys
from fastapi.testclient import TestClient
from app.families.registry import make
from app.main import create_app
from app.settings import Settings

with TestClient(create_app(Settings(models_dir=sys.argv[1], compile=False))) as client:
    support = {"inputs": [[0.1], [0.5], [0.9]], "targets": [0.01, 0.25, 0.81]}
    answer = client.post("/adapt", json={"model": "parabola", "support": support})
    print(json.dumps([answer.status_code, answer.json()["status"], type(make("sinusoid", {})).__name__]))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    (source / "pyproject.toml").write_text(PYPROJECT)
    (source / "strange_parabolas.py").write_text(MODULE)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(target), str(source)], check=True)
    return target


def run(site: Path, *command: str) -> str:
    path = {"PYTHONPATH": f"{site}:{ROOT}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, *command], env=path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_strangers_family_is_trained_and_served(installed: Path, tmp_path: Path) -> None:
    folders = ["--models-dir", str(tmp_path / "models"), "--runs-dir", str(tmp_path / "runs")]
    run(installed, "-m", "app.train", "parabola", "--eager", *folders)
    training = json.loads((tmp_path / "models/parabola/bundle.json").read_text())["training"]
    assert training["recipe"]["family_options"] == {"most": 3.0}
    assert training["outer_steps"] == 30

    status, outcome, ours = json.loads(run(installed, "-c", SERVE, str(tmp_path / "models")))
    assert status == 201
    assert outcome in ("improved", "no_progress")
    assert ours == "Sinusoid", "a name of ours cannot be taken"
