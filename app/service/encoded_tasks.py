"""Tasks of records that keep their features, so that each prediction finds them without looking up row after row."""

from collections import OrderedDict
from threading import Lock
from weakref import ref

from app.service.task import Task

ENTRY_BYTES = 2048
"""What an entry takes besides its arrays: the objects of the encoded task, and its place in the order of use."""


class EncodedTasks:
    """The tasks that keep their features (`Task.encoded`). The least recently used lose them first.

    A task that nothing else holds any more takes its features with it; it is counted until its turn comes. Threads may
    share it.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.bytes = 0
        """Of the features, and of what else is kept with them."""
        self._entries: OrderedDict[int, tuple[ref[Task], int]] = OrderedDict()
        self._lock = Lock()

    def keep(self, task: Task, digest: str, encoded: Task) -> None:
        """Let a task keep its features, unless they are larger than all that may be kept.

        digest: of the bundle that they are of
        """
        size = encoded.bytes + encoded.compared_bytes + ENTRY_BYTES
        with self._lock:
            self._remove(id(task))  # of a task that is gone, or of another bundle
            if size > self._max_bytes:
                return
            task.encoded = digest, encoded
            self._entries[id(task)] = ref(task), size
            self.bytes += size
            while self.bytes > self._max_bytes:
                self._remove(next(iter(self._entries)))

    def touch(self, task: Task) -> None:
        """Mark a task as used now, if it is here."""
        with self._lock:
            if id(task) in self._entries:
                self._entries.move_to_end(id(task))

    def drop(self, owner: str) -> None:
        """Let all tasks of an owner lose their features."""
        with self._lock:
            for key, (reference, _) in [*self._entries.items()]:
                task = reference()
                if task is None or task.kept_by == owner:
                    self._remove(key)

    def _remove(self, key: int) -> None:
        if (entry := self._entries.pop(key, None)) is not None:
            reference, size = entry
            self.bytes -= size
            if (task := reference()) is not None:
                task.encoded = None
