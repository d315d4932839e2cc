"""With INNERLOOP_DEVICE=cuda the tests of this folder run on the GPU as they are.

Tensors that a test makes are moved to the GPU, and back to the CPU where a test passes them to numpy. Tensors that the
code under test makes stay where that code puts them, so that a tensor on the wrong device fails.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from service_tests.device import DEVICE

MAKERS = {
    torch.arange,
    torch.empty,
    torch.eye,
    torch.from_numpy,
    torch.full,
    torch.linspace,
    torch.ones,
    torch.rand,
    torch.randint,
    torch.randn,
    torch.randperm,
    torch.tensor,
    torch.zeros,
}


class OnDevice(TorchFunctionMode):
    """Moves the tensors that tests make to the device, and those that tests pass to numpy back."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if function in (Tensor.numpy, Tensor.__array__) and called_by_test():
            return function(args[0].cpu(), *args[1:], **kwargs)
        result = function(*args, **kwargs)
        if function in MAKERS and kwargs.get("device") is None and called_by_test():
            return result.to(DEVICE)
        return result


def called_by_test() -> bool:
    """Whether a test calls torch, and not the code under test."""
    frame = sys._getframe(2)
    while frame.f_globals.get("__name__", "").partition(".")[0] in ("torch", "numpy"):
        assert frame.f_back is not None
        frame = frame.f_back
    return bool(frame.f_globals.get("__name__", "").startswith("service_tests"))


@pytest.fixture(autouse=DEVICE.type != "cpu")
def on_device() -> Iterator[None]:
    with OnDevice():
        yield
