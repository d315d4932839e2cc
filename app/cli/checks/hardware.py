"""The device that computes, the cores and the memory."""

import os
from pathlib import Path

import torch

from app.cli.checks.finding import Finding, size_text
from app.device import describe

PART = "device"
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Files with the limit of a container."""


def check(device: torch.device) -> Finding:
    """Describe the machine. A GPU that PyTorch does not find gets a warning."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    text = f"{device}, {describe(device)}"
    if device.type == "cuda":
        text += f" with {size_text(torch.cuda.get_device_properties(device).total_memory)}"
    text += f"; {cores} CPU core{'' if cores == 1 else 's'}, {size_text(_memory())} of memory"
    if NVIDIA_DRIVER.exists() and not torch.cuda.is_available():
        fix = "install PyTorch's build for CUDA (https://pytorch.org/get-started/locally), or a newer driver"
        return Finding(PART, "warning", f"{text}. There is an NVIDIA driver, but PyTorch finds no GPU: {fix}")
    return Finding(PART, "ok", text)


def _memory() -> int:
    """Bytes that the processes of this machine or container may use."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [file.read_text().strip() for file in MEMORY_LIMITS if file.exists()]
    return min([physical, *(int(limit) for limit in limits if limit.isdecimal())])
