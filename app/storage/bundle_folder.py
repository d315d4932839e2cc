"""Bundles by digest in a folder. The time until which each is kept is that of the file `until` in it."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TypeVar

from app.atomic_write import write_atomically
from app.bundles.bundle import Bundle
from app.bundles.file_names import MANIFEST
from app.bundles.folder import load, write
from app.errors import StoreFailed
from app.storage.disk_reserve import DiskReserve

T = TypeVar("T")

FOLDER = "bundles"
UNTIL = "until"
REMOVED = ".removed-"


class BundleFolder:
    """Keeps bundles in `bundles/<digest>/<name>` in a folder (`app.service.pinned_bundles.BundleStore`)."""

    def __init__(self, folder: Path, disk: DiskReserve) -> None:
        self._folder = folder / FOLDER
        self._disk = disk
        self._lock = Lock()  # a bundle is not removed while it is written, which may keep it for longer

    async def write(self, bundle: Bundle, until: float) -> None:
        """Keep a bundle at least until a time."""
        await asyncio.to_thread(self._locked, self._write, bundle, until)

    async def read(self, digest: str) -> Bundle | None:
        """The bundle with this digest; None where there is none."""
        return await asyncio.to_thread(self._read, digest)

    async def collect(self, now: float) -> list[str]:
        """Remove the bundles that have to be kept no longer, and return their digests."""
        return await asyncio.to_thread(self._locked, self._collect, now)

    def _locked(self, work: Callable[..., T], *arguments: object) -> T:
        with self._lock:
            return work(*arguments)

    def _write(self, bundle: Bundle, until: float) -> None:
        if self._disk.full:
            raise self._disk.refusal()
        kept = self._folder / bundle.manifest.digest
        try:
            kept.mkdir(parents=True, exist_ok=True)
            # first how long: a bundle without it, after a crash, is removed
            write_atomically(kept / UNTIL, f"{max(until, _until(kept))}\n".encode())
            if not (kept / bundle.name / MANIFEST).exists():
                write(kept / bundle.name, bundle.manifest, bundle.meta, bundle.encoder_arrays)
        except OSError as error:
            raise StoreFailed(
                f'The bundle of a pinned adaptation cannot be stored in {kept} ("{error.strerror}"): make room on '
                "the disk and check the permissions of the folder, then try again"
            ) from error

    def _read(self, digest: str) -> Bundle | None:
        kept = self._folder / digest
        try:
            if not kept.is_dir():
                return None
            folders = [each for each in kept.iterdir() if each.is_dir()]
            return load(folders[0]) if folders else None
        except OSError as error:
            raise StoreFailed(
                f'The bundle of a pinned adaptation in {kept} cannot be read ("{error.strerror}"): check the disk '
                "and the permissions of the folder, then try again"
            ) from error

    def _collect(self, now: float) -> list[str]:
        collected = []
        try:
            # what is removed already comes first: its name has to be free
            for kept in sorted(self._folder.iterdir()) if self._folder.is_dir() else []:
                if kept.name.startswith(REMOVED):  # by a process that was killed meanwhile
                    shutil.rmtree(kept)
                elif _until(kept) < now:
                    # at once: half of a bundle must never be found
                    removed = kept.with_name(REMOVED + kept.name)
                    kept.rename(removed)
                    shutil.rmtree(removed)
                    collected.append(kept.name)
        except OSError as error:
            raise StoreFailed(
                f'Bundles that no adaptation is pinned to cannot be removed from {self._folder} ("{error.strerror}"): '
                "check the permissions of the folder"
            ) from error
        return collected


def _until(kept: Path) -> float:
    try:
        return float((kept / UNTIL).read_text())
    except (FileNotFoundError, ValueError):
        return 0.0
