"""A cache of fast weights: slots of one tensor on the device, the least recently used evicted first."""

from collections import OrderedDict
from collections.abc import Hashable, Sequence

import numpy as np
import torch

ENTRY_BYTES = 256
"""The bookkeeping of one entry: its key and its place in the order of use."""


class FastWeights:
    """The packed states of many adaptations of one bundle, so that one gather collects any of them."""

    def __init__(self, initial_state: torch.Tensor, size_bytes: int, min_capacity: int) -> None:
        """Allocate slots for as many states as fit into `size_bytes`, and for at least `min_capacity`.

        initial_state: the state of one task before any step, [number]; all states have its form
        """
        entry = ENTRY_BYTES + initial_state.numel() * initial_state.element_size()
        self.capacity = capacity = max(min_capacity, size_bytes // entry)
        self._slots: OrderedDict[Hashable, int] = OrderedDict()
        self._free: list[int] = []
        self._fresh = iter(range(capacity))
        self.states = initial_state.new_empty((capacity, *initial_state.shape))

    def __contains__(self, key: Hashable) -> bool:
        return key in self._slots

    def put(self, keys: Sequence[Hashable], rows: Sequence[int], states: torch.Tensor) -> None:
        """Store row `rows[i]` of `states`, [task, number], under `keys[i]`; at most `capacity` rows at a time."""
        if not keys:
            return
        for key in keys:
            self.drop(key)
        slots = [self._free_slot() for _ in keys]
        self._slots.update(zip(keys, slots, strict=True))
        if len(slots) == 1:  # the common case with few connections
            self.states[slots[0]].copy_(states[rows[0]])
            return
        at = self._indices(slots)
        # mostly all rows are usable, with the padding behind them
        source = slice(len(rows)) if rows[-1] == len(rows) - 1 else self._indices(rows)
        self.states.index_copy_(0, at, states[source])

    def _free_slot(self) -> int:
        """A slot that was freed, or was never used, or holds the least recently used state."""
        if self._free:
            return self._free.pop()
        slot = next(self._fresh, None)
        return self._slots.popitem(last=False)[1] if slot is None else slot

    def gather(self, keys: Sequence[Hashable]) -> torch.Tensor:
        """The states under `keys`, [key, number], in that order. Raises KeyError where one is missing."""
        return self.states.index_select(0, self.rows(keys))

    def rows(self, keys: Sequence[Hashable]) -> torch.Tensor:
        """The rows of `states` under `keys`, int64 [key]. Raises KeyError where one is missing."""
        return self._indices([self._slots[key] for key in keys])

    def _indices(self, values: Sequence[int]) -> torch.Tensor:
        return torch.from_numpy(np.array(values, np.int64)).to(self.states.device)

    def touch(self, key: Hashable) -> bool:
        """Mark a key as used now. Returns whether it is cached."""
        if key in self._slots:
            self._slots.move_to_end(key)
            return True
        return False

    def drop(self, key: Hashable) -> None:
        """Remove the state under `key`, if there is one."""
        if key in self._slots:
            self._free.append(self._slots.pop(key))
