import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fastapi.testclient import TestClient

from app.device import choose_device
from app.errors import DeviceError
from app.main import create_app
from app.settings import Settings
from service_tests import forked
from service_tests.processes import ROOT

ADAPT = {"model": "sinusoid", "support": {"inputs": [[0.1], [1.2]], "targets": [0.3, 0.9]}}


def test_two_applications_share_nothing(models_dir: Path) -> None:
    settings = Settings(models_dir=models_dir, compile=False, watch=False, store="memory")
    with TestClient(create_app(settings)) as one, TestClient(create_app(settings)) as two:
        adaptation_id = one.post("/adapt", json=ADAPT).json()["adaptation_id"]
        assert one.get(f"/adaptations/{adaptation_id}").status_code == 200
        assert two.get(f"/adaptations/{adaptation_id}").status_code == 404


WITHOUT_COMPILED_CODE = """
import json, sys
from pathlib import Path

sys.modules["app.service.compiled"] = None  # importing it fails

from fastapi.testclient import TestClient
from app.main import create_app
from app.settings import Settings

models_dir, body = json.loads(sys.argv[1])
settings = Settings(models_dir=Path(models_dir), watch=False, store="memory", compile=True)
with TestClient(create_app(settings)) as client:
    adapted = client.post("/adapt", json=body).raise_for_status().json()
    query = {"adaptation_id": adapted["adaptation_id"], "queries": [[2.0]]}
    predicted = client.post("/predict", json=query).raise_for_status().json()
    ready = client.get("/health/ready").raise_for_status().json()
print(json.dumps([adapted["losses"], predicted["predictions"], ready["compiled"]]))
"""


def test_the_server_runs_without_the_compiled_folder(models_dir: Path) -> None:
    """The server gives the same numbers without the folder. It runs in another process, because imports are cached."""
    arguments = json.dumps([str(models_dir), ADAPT])
    process = forked.run([sys.executable, "-c", WITHOUT_COMPILED_CODE, arguments])
    assert process.returncode == 0, process.stderr
    losses, predictions, compiled = json.loads(process.stdout)
    with TestClient(create_app(Settings(models_dir=models_dir, compile=False, watch=False, store="memory"))) as client:
        adapted = client.post("/adapt", json=ADAPT).json()
        query = {"adaptation_id": adapted["adaptation_id"], "queries": [[2.0]]}
        expected = client.post("/predict", json=query).json()["predictions"]
    assert losses == pytest.approx(adapted["losses"])
    assert predictions == [pytest.approx(row) for row in expected]
    assert not compiled
    assert "the inner loop runs uncompiled" in process.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU, so choosing it is not an error")
def test_a_missing_device_refuses_to_start(models_dir: Path) -> None:
    with pytest.raises(
        DeviceError, match=r"^device: expected auto or cpu on a machine without a CUDA device, got cuda: set --device"
    ):
        create_app(Settings(models_dir=models_dir, device="cuda"))


KEEPING_FREED_MEMORY = """
import json
from pathlib import Path

import torch
from app.device import keep_freed_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

def part_kept():
    before = resident()
    tensor = torch.ones(1 << 24)
    held = resident() - before
    del tensor
    return (resident() - before) / held

by_default = part_kept()
keep_freed_memory()
print(json.dumps([by_default, part_kept()]))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc lets a process keep what it frees")
def test_freed_memory_is_kept() -> None:
    """A process returns the memory of a freed tensor to the system, but not after `keep_freed_memory`."""
    process = subprocess.run(
        [sys.executable, "-c", KEEPING_FREED_MEMORY], check=True, capture_output=True, text=True, cwd=ROOT
    )
    by_default, kept = json.loads(process.stdout)
    assert by_default < 0.1
    assert kept > 0.9


def test_auto_chooses_the_gpu_if_there_is_one() -> None:
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu").type == "cpu"


def test_a_gpu_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert choose_device("auto").type == "cuda"
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
