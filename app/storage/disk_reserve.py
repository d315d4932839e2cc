"""A file that keeps room on the disk. It is given up when the disk is full, so that deleting can still be written."""

import os
from contextlib import suppress
from pathlib import Path
from threading import Lock

from app.errors import StoreFailed
from app.service.health import Health

FILE = "reserve"
MAX_BYTES = 16 * 2**20
"""More than the log of the sqlite store usually takes, which has to be copied before what is deleted is erased."""
DISK_SHARE = 8
"""The reserve is at most this fraction of the disk: 1/8."""
CONDITION = "disk"


class DiskReserve:
    """The reserve in a folder. The disk is `full` from when the reserve is given up until it can be taken again."""

    def __init__(self, folder: Path, health: Health) -> None:
        """Nothing is taken yet."""
        self._folder = folder
        self._health = health
        self._lock = Lock()
        self.full = False
        """Whether only what makes room may be written."""

    def check(self) -> None:
        """Take the reserve where there is room for it; notice a disk that other programs have filled."""
        with self._lock:
            try:
                if self.full:
                    if self._free_bytes() < 2 * self._size or not self._allocate():
                        return
                    self.full = False
                elif self._is_low():
                    self._give_up()
                    return
                else:
                    self._allocate()
            except OSError as error:
                reason = (
                    f"The disk that holds the folder `{self._folder}` cannot be used "
                    f'("{error.strerror}"): check the folder and its disk'
                )
                self._health.begin(CONDITION, reason)
            else:
                self._health.end(CONDITION)

    def fill(self) -> bool:
        """Note that a write failed for lack of room. Returns whether there was a reserve to give up."""
        with self._lock:
            return self._give_up()

    def is_low(self) -> bool:
        """Whether there is hardly any room, so that an error of the disk is likely to come from that."""
        try:
            with self._lock:
                return self._is_low()
        except OSError:  # `check` reports it
            return False

    def refusal(self) -> StoreFailed:
        """The error for what is not written because the disk is full."""
        free = f"{self._free_bytes() / 2**20:.1f} MiB free"
        return StoreFailed(
            f"The disk that holds the folder `{self._folder}` is full ({free}): make room, then try again. Until then "
            "you can predict with stored adaptations, and delete them as long as any room is left"
        )

    def _give_up(self) -> bool:
        if not self.full:
            self.full = True
            # before there is more room, so that it says how little there was
            self._health.begin(CONDITION, str(self.refusal()))
        with suppress(OSError):
            (self._folder / FILE).unlink()
            return True
        return False

    def _allocate(self) -> bool:
        """Take the reserve, unless it leaves hardly any room. Returns whether it is taken."""
        file = self._folder / FILE
        if not file.exists() and self._free_bytes() < 1.5 * self._size:
            return False
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with file.open("ab") as reserve:
                if (missing := self._size - reserve.tell()) > 0:
                    _allocate(reserve.fileno(), missing)
        except OSError:
            with suppress(OSError):
                file.unlink()
            return False
        return True

    def _is_low(self) -> bool:
        return not self._status.f_flag & os.ST_RDONLY and self._free_bytes() < self._size / 4

    @property
    def _size(self) -> int:
        disk = self._status
        return max(1, min(MAX_BYTES, disk.f_blocks * disk.f_frsize // DISK_SHARE))

    def _free_bytes(self) -> int:
        disk = self._status
        return disk.f_bavail * disk.f_frsize

    @property
    def _status(self) -> os.statvfs_result:
        return os.statvfs(nearest_existing(self._folder))


def nearest_existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists and can be reached by this process."""
    # `Path.exists` raises PermissionError below a folder that cannot be searched
    return next(each for each in (folder, *folder.absolute().parents) if os.access(each, os.F_OK))


def _allocate(descriptor: int, size: int) -> None:
    """Add this many bytes to a file that is open for appending. Raises OSError."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, os.fstat(descriptor).st_size, size)
    else:  # macOS
        os.write(descriptor, bytes(size))
