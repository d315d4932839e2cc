"""The device that the tests compute on: that of INNERLOOP_DEVICE, the CPU where it is not set."""

import os

from torch import Tensor

from app.device import choose_device

os.environ.setdefault("INNERLOOP_DEVICE", "cpu")  # so that the servers that tests start take the same one
DEVICE = choose_device(os.environ["INNERLOOP_DEVICE"])


def placed(params: dict[str, Tensor]) -> dict[str, Tensor]:
    """Parameters on that device."""
    return {name: value.to(DEVICE) for name, value in params.items()}
