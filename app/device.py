"""Which device computes, and what its process needs for that."""

import ctypes
import platform
import warnings
from pathlib import Path

import torch

from app.errors import DeviceError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def choose_device(name: str) -> torch.device:
    """`auto` is the GPU where there is one. Raises DeviceError where `cuda` is asked for and not here.

    On a GPU float32 is computed as float32 from then on.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError("there is no CUDA device here; ask for auto or cpu (--device, INNERLOOP_DEVICE)")
    if name == "cuda":
        # cuDNN's default for convolutions is TF32, which is 1e-3 away from what the CPU computes
        torch.backends.cudnn.allow_tf32 = False
        warnings.filterwarnings("ignore", message="TensorFloat32 tensor cores")  # Inductor's advice to do otherwise
    return torch.device(name)


def describe(device: torch.device) -> str:
    """The processor or accelerator by name, as far as it can be known."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def keep_freed_memory() -> None:
    """Let this process reuse the memory of tensors that it frees, where glibc would give it back to the system.

    A batch's tensors are of the size of the batch before, and fresh memory has to be mapped page by page: 256 tasks of
    an MLP 1-40-40-1 take 11.1 us each instead of 15.3. Does nothing where the C library has no `mallopt`.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, 1 << 30)
        mallopt(_M_MMAP_THRESHOLD, 1 << 30)
