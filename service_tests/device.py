"""The device that tests compute on: INNERLOOP_DEVICE, or the CPU if it is not set."""

import os

from torch import Tensor

from app.device import choose_device

os.environ.setdefault("INNERLOOP_DEVICE", "cpu")  # for the servers that tests start too
DEVICE = choose_device(os.environ["INNERLOOP_DEVICE"])


def to_device(params: dict[str, Tensor]) -> dict[str, Tensor]:
    """The parameters on DEVICE."""
    return {name: value.to(DEVICE) for name, value in params.items()}
