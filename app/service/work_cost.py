"""What work costs, known before it begins: its price in multiply-adds, and the memory that it needs."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode  # the interface of modes has no public name yet
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

LARGE = 10**9
"""The price of large work: about 50 ms of one core."""
PRICE_A_SECOND = 20 * LARGE
"""The price of a second of other work, such as encoding."""
PASSES = 3
"""A gradient step costs three times what the network's answer costs: forwards once, and backwards twice that."""
NUMBER_PRICE = 2000
"""The price of a number in an answer: writing it as JSON takes as long as so many multiply-adds."""
NUMBER_BYTES = 64
"""The memory of a number in an answer, in float32 and float64 and as text."""
LABEL_COPIES = 4
"""An answer repeats a label for each query: once as text, and again while the text grows and is sent."""
KERNELS = 2
"""The kernels of convolutions take memory of their own, up to as much as the tensors that are measured."""


def distance_price(features: int) -> int:
    """The price of the distance between two rows: about how many multiply-adds of a matrix product take as long."""
    return 40 + 8 * features


def multiply_adds(function: Callable[..., Any], *arguments: Any) -> int:
    """The multiply-adds of the matrix products and convolutions of one call."""
    with FlopCounterMode(display=False) as counter:
        function(*arguments)
    return int(counter.get_total_flops()) // 2


def peak_bytes(function: Callable[..., Any], *arguments: Any) -> int:
    """The memory that the tensors of one call take together, at its peak.

    Pass tensors on the meta device: they have shapes and no data, so the call computes nothing. Raises
    NotImplementedError and RuntimeError where an operation of the call needs data.
    """
    meter = _Meter()
    with meter:
        function(*arguments)
    return meter.peak


class _Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own
    """Adds up the storages that are alive."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's own
        self.peak = 0
        self._live = 0
        self._seen: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        if storage not in self._seen:
            self._seen.add(storage)
            self._live += storage.nbytes()
            self.peak = max(self.peak, self._live)
            weakref.finalize(storage, self._remove, storage.nbytes())

    def _remove(self, size: int) -> None:
        self._live -= size
