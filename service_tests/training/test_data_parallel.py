"""Two processes by torchrun come to what one comes to."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from app.bundles.folder import load
from app.training.data_parallel import Processes
from service_tests import forked
from service_tests.processes import ROOT


def test_shares_are_all_tasks_once() -> None:
    batch = {"a": torch.arange(7), "b": (torch.arange(14).reshape(7, 2),)}
    shares, weights = zip(*(Processes(rank, 3).share(batch, 7) for rank in range(3)), strict=True)
    assert torch.equal(torch.cat([share["a"] for share in shares]), batch["a"])  # type: ignore[arg-type]
    assert sum(weights) == pytest.approx(1.0)


def test_one_process_alone_changes_nothing() -> None:
    direction, loss = {"a": torch.ones(2)}, torch.ones(())
    assert Processes().average(direction, loss, 1.0) == (direction, loss)
    assert Processes().agree(0.3, torch.device("cpu")) == 0.3


def train(folder: Path, launcher: list[str], algorithm: str) -> Path:
    """Train with 5 tasks a step, which 2 processes cannot divide evenly; the bundle."""
    words = ["linear", "--algorithm", algorithm, "--outer-steps", "40", "--eager", "--set", "tasks=5"]
    words += ["--set", "inner_rate=0.1", "--set", "outer_rate=null", "--set", "validate_every=20"]
    words += ["--models-dir", str(folder / "models"), "--runs-dir", str(folder / "runs"), "--device", "cpu"]
    command = [sys.executable, *launcher, "-m", "app.train", *words]
    if launcher:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    else:
        done = forked.run(command, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("evaluating, and writing") == 1, "one process speaks and writes"
    return folder / "models/linear"


@pytest.mark.parametrize("algorithm", ["maml", "averaging"])
def test_two_processes_are_one_within_rounding(algorithm: str, tmp_path: Path) -> None:
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d"]
    one = train(tmp_path / "one", [], algorithm)
    two = train(tmp_path / "two", [*launcher, "--rdzv-endpoint", "127.0.0.1:0"], algorithm)
    for name, value in load(one).meta.items():
        torch.testing.assert_close(load(two).meta[name], value, rtol=1e-5, atol=1e-6)
    cost = [json.loads((folder / "bundle.json").read_text())["training"]["cost"] for folder in (one, two)]
    assert [each["processes"] for each in cost] == [1, 2]
    assert cost[0]["tasks"] == cost[1]["tasks"] == 200
