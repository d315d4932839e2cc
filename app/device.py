"""Which device computes."""

import torch

from app.errors import DeviceError


def choose_device(name: str) -> torch.device:
    """`auto` is the GPU where there is one. Raises DeviceError where `cuda` is asked for and not here."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError("there is no CUDA device here; ask for auto or cpu (--device, INNERLOOP_DEVICE)")
    return torch.device(name)
