"""The device that computes, and what its process needs for that."""

import ctypes
import platform
import warnings
from pathlib import Path

import torch

from app.errors import DeviceError, expectation

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto` is the GPU if there is one, else the CPU.

    Where it is a GPU, this process computes convolutions in float32 from then on, not in TF32. Raises DeviceError for a
    name that PyTorch does not have, and for `cuda` on a machine without a GPU.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        expected = "auto or cpu on a machine without a CUDA device"
        raise DeviceError(expectation("device", expected, name, "set --device or INNERLOOP_DEVICE to one of them"))
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(expectation("--device", "auto, cpu or cuda", repr(name))) from error
    if device.type == "cuda":
        # cuDNN's default for convolutions is TF32, which is 1e-3 away from what the CPU computes
        torch.backends.cudnn.allow_tf32 = False
        warnings.filterwarnings("ignore", message="TensorFloat32 tensor cores")  # Inductor's advice to do otherwise
    return device


def describe(device: torch.device) -> str:
    """The name of the processor or accelerator, as far as the system tells it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def keep_freed_memory() -> None:
    """Let this process reuse the memory of tensors that it frees; by default glibc returns it to the system.

    The tensors of a batch are as large as those of the batch before, and fresh memory has to be mapped page by page:
    256 tasks of an MLP 1-40-40-1 take 11.1 us each instead of 15.3 (`malloc` of the ablation benchmark: 2.0 times the
    tasks a second there). Does nothing if the C library has no `mallopt`.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, 1 << 30)
        mallopt(_M_MMAP_THRESHOLD, 1 << 30)


def return_freed_memory() -> None:
    """Return memory that was freed to the system, in spite of `keep_freed_memory`.

    Call it after large work: what comes next may be of other sizes, which do not fit where its tensors were. Does
    nothing if the C library has no `malloc_trim`.
    """
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
