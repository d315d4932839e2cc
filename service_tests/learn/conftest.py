"""With INNERLOOP_DEVICE=cuda the tests of this folder run on the GPU as they are.

Tensors that a test makes go to the GPU, and come back where a test hands them to numpy. What the code under test makes
stays where that code puts it, so that a tensor made on the wrong device fails.
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
    """Moves what tests make to the device, and what they hand to numpy back."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if function in (Tensor.numpy, Tensor.__array__) and by_a_test():
            return function(args[0].cpu(), *args[1:], **kwargs)
        result = function(*args, **kwargs)
        if function in MAKERS and kwargs.get("device") is None and by_a_test():
            return result.to(DEVICE)
        return result


def by_a_test() -> bool:
    """Whether torch is called from a test, not from the code under test."""
    frame = sys._getframe(2)
    while frame.f_globals.get("__name__", "").partition(".")[0] in ("torch", "numpy"):
        assert frame.f_back is not None
        frame = frame.f_back
    return bool(frame.f_globals.get("__name__", "").startswith("service_tests"))


@pytest.fixture(autouse=DEVICE.type != "cpu")
def on_device() -> Iterator[None]:
    with OnDevice():
        yield
