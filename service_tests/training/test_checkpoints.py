"""A run that is killed goes on bit for bit."""

import dataclasses
import hashlib
import os
import signal
import sys
import time
from pathlib import Path

import pytest
import torch

from app.errors import TrainingError
from app.learn.algorithms import ALGORITHMS
from app.training.checkpoints import restore_checkpoint, save_checkpoint
from app.training.recipe_variants import with_algorithm
from app.training.recipes.recipe import Recipe
from app.training.training_run import Run
from service_tests import forked
from service_tests.forked import Forked

CPU = torch.device("cpu")


@pytest.mark.parametrize("algorithm", sorted(name for name, each in ALGORITHMS.items() if "regression" in each.kinds))
def test_a_restored_run_continues_bit_for_bit(algorithm: str, tmp_path: Path) -> None:
    recipe = with_algorithm(Recipe("sinusoid", tasks=4), algorithm)
    straight, broken, resumed = (Run(recipe, CPU, compiled=False) for _ in range(3))
    straight.advance(12)
    broken.advance(4)
    broken.keep_if_best(0.5)
    broken.advance(3)
    save_checkpoint(broken, tmp_path / "checkpoint.safetensors")
    restore_checkpoint(resumed, tmp_path / "checkpoint.safetensors")
    assert resumed.step == 7
    assert resumed.best is not None
    assert broken.best is not None
    assert (resumed.best.step, resumed.best.score) == (4, 0.5)
    assert all(torch.equal(value, resumed.best.meta[name]) for name, value in broken.best.meta.items())
    resumed.advance(5)
    assert all(torch.equal(value, resumed.meta[name]) for name, value in straight.meta.items())


def test_another_recipe_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    recipe = Recipe("sinusoid", tasks=4)
    save_checkpoint(Run(recipe, CPU, compiled=False), path)
    with pytest.raises(TrainingError, match="got one of another recipe: start again with --fresh"):
        restore_checkpoint(Run(dataclasses.replace(recipe, seed=1), CPU, compiled=False), path)


def test_rubbish_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(b"rubbish")
    with pytest.raises(TrainingError, match="expected a checkpoint, got "):
        restore_checkpoint(Run(Recipe("sinusoid"), CPU, compiled=False), path)


def train(folder: Path) -> Forked:
    command = [sys.executable, "-m", "app.train", "linear", "--outer-steps", "1050", "--eager", "--set", "tasks=2"]
    folders = ["--models-dir", str(folder / "models"), "--runs-dir", str(folder / "runs")]
    with Path(os.devnull).open("w") as output:
        return forked.start([*command, *folders], stdout=output)


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "models/linear/weights.safetensors").read_bytes()).hexdigest()


def test_after_kill_9_the_script_ends_with_the_same_bytes(tmp_path: Path) -> None:
    straight = train(tmp_path / "straight")
    killed = train(tmp_path / "killed")
    checkpoint = tmp_path / "killed/runs/linear/checkpoint.safetensors"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL, "it was to be killed halfway"
    assert not (tmp_path / "killed/models").exists()
    assert train(tmp_path / "killed").wait() == 0
    assert straight.wait() == 0
    assert digest(tmp_path / "killed") == digest(tmp_path / "straight")
    assert not checkpoint.exists(), "a finished run leaves no checkpoint to resume"
