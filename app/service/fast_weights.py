"""Fast weights as a cache: stacked on the device in slots, the least recently used given up first."""

from collections import OrderedDict
from collections.abc import Hashable, Sequence

import numpy as np
import torch

ENTRY_BYTES = 256
"""What the bookkeeping of one entry takes: its key, its place in the order of use."""


class FastWeights:
    """The states of many adaptations of one bundle, so that one gather serves any of them."""

    def __init__(self, initial: torch.Tensor, size_bytes: int, least: int) -> None:
        """Room for as many as fit into `size_bytes`, but for `least` at least.

        initial: the state of one task before any step, [number], whose form all states have
        """
        entry = ENTRY_BYTES + initial.numel() * initial.element_size()
        self.capacity = capacity = max(least, size_bytes // entry)
        self._slots: OrderedDict[Hashable, int] = OrderedDict()
        self._free: list[int] = []
        self._fresh = iter(range(capacity))
        if initial.device.type == "cpu":
            # numpy asks for huge pages: else every new slot waits for two pages of the system's (a put takes 14 us, not
            # 45 to 90, together with copying a single row as one)
            self.states = torch.from_numpy(np.empty((capacity, *initial.shape), np.float32))
        else:
            self.states = initial.new_empty((capacity, *initial.shape))

    def __contains__(self, key: Hashable) -> bool:
        return key in self._slots

    def put(self, keys: Sequence[Hashable], rows: Sequence[int], states: torch.Tensor) -> None:
        """Keep row `rows[i]` of `states`, [task, number], under `keys[i]`; at most `capacity` at a time."""
        if not keys:
            return
        for key in keys:
            self.drop(key)
        slots = [self._take() for _ in keys]
        self._slots.update(zip(keys, slots, strict=True))
        if len(slots) == 1:  # the common case of few connections
            self.states[slots[0]].copy_(states[rows[0]])
            return
        at = self._indices(slots)
        # mostly all are usable, and padding is behind them
        source = slice(len(rows)) if rows[-1] == len(rows) - 1 else self._indices(rows)
        self.states.index_copy_(0, at, states[source])

    def _take(self) -> int:
        """A slot: one that was given back, one never used, or that of the least recently used."""
        if self._free:
            return self._free.pop()
        slot = next(self._fresh, None)
        return self._slots.popitem(last=False)[1] if slot is None else slot

    def gather(self, keys: Sequence[Hashable]) -> torch.Tensor:
        """The states under `keys`, [key, number], in that order. Raises KeyError where one is not here."""
        return self.states.index_select(0, self.rows(keys))

    def rows(self, keys: Sequence[Hashable]) -> torch.Tensor:
        """The rows of `states` that are under `keys`, int64 [key]. Raises KeyError where one is not here."""
        return self._indices([self._slots[key] for key in keys])

    def _indices(self, values: Sequence[int]) -> torch.Tensor:
        return torch.from_numpy(np.array(values, np.int64)).to(self.states.device)

    def touch(self, key: Hashable) -> bool:
        """Mark as used now; whether it is here."""
        if key in self._slots:
            self._slots.move_to_end(key)
            return True
        return False

    def drop(self, key: Hashable) -> None:
        """Forget what is kept under `key`, if anything."""
        if key in self._slots:
            self._free.append(self._slots.pop(key))
