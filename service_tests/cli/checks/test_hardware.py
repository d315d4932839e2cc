from pathlib import Path

import pytest
import torch

from app.cli.checks import hardware

CPU = torch.device("cpu")


def test_the_machine_is_described() -> None:
    finding = hardware.check(CPU)
    assert finding.message.startswith("cpu, ")
    assert " of memory" in finding.message


def test_the_limit_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limited, unlimited = tmp_path / "limited", tmp_path / "unlimited"
    limited.write_text(f"{192 * 2**20}\n")
    unlimited.write_text("max\n")
    monkeypatch.setattr(hardware, "MEMORY_LIMITS", (unlimited, limited, tmp_path / "missing"))
    assert hardware.check(CPU).message.endswith(", 192.0 MiB of memory")


@pytest.mark.skipif(torch.cuda.is_available(), reason="PyTorch finds a GPU")
def test_a_gpu_that_torch_does_not_find_gets_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "NVIDIA_DRIVER", tmp_path)
    finding = hardware.check(CPU)
    assert finding.mark == "warning"
    assert "There is an NVIDIA driver, but PyTorch finds no GPU: install PyTorch's build for CUDA" in finding.message


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_is_described() -> None:
    finding = hardware.check(torch.device("cuda"))
    assert finding.message.startswith(f"cuda, {torch.cuda.get_device_name()} with ")
