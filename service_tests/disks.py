"""Disks for tests: small file systems of their own that can be filled, emptied and made read-only."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

FILLER = "filler"


class Disk:
    """A mounted file system."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def free(self) -> int:
        """Bytes that are free."""
        status = os.statvfs(self.folder)
        return status.f_bavail * status.f_frsize

    def fill(self) -> None:
        """Write to a file until nothing more fits."""
        file = os.open(self.folder / FILLER, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for size in (2**20, 4096, 1):
            with suppress(OSError):
                while os.write(file, bytes(size)):
                    pass
        os.close(file)

    def empty(self) -> None:
        """Remove that file."""
        (self.folder / FILLER).unlink()

    def set_writable(self, writable: bool) -> None:
        """Mount it read-only, or writable again."""
        mount(f"remount,{'rw' if writable else 'ro'}", self.folder)


def mount(options: str, folder: Path) -> bool:
    """Mount a file system in memory. Returns whether this is allowed here."""
    words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@contextmanager
def small_disk(folder: Path, size: str = "32m") -> Iterator[Disk]:
    """A file system of this size, mounted at a new folder. The test is skipped where only root may mount."""
    folder.mkdir()
    if not mount(f"size={size}", folder):
        pytest.skip("mounting a small disk needs root, on Linux")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
