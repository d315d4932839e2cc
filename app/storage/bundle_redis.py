"""Bundles by digest in redis, which removes each when its time has come."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from app.bundles.bundle import Bundle
from app.bundles.file_names import MANIFEST, WEIGHTS
from app.bundles.folder import load, write

WRITE = """
-- ARGV: prefix, digest, until, name, bundle.json, weights
local key = ARGV[1] .. ':bundle:' .. ARGV[2]
local latest = math.max(tonumber(redis.call('HGET', key, 'until') or 0), tonumber(ARGV[3]))
redis.call('HSET', key, 'until', latest, 'name', ARGV[4], 'manifest', ARGV[5], 'weights', ARGV[6])
redis.call('EXPIREAT', key, math.ceil(latest))
"""
READ = "return redis.call('HMGET', ARGV[1] .. ':bundle:' .. ARGV[2], 'name', 'manifest', 'weights')"


class BundleRedis:
    """Keeps bundles beside the records (`app.service.pinned_bundles.BundleStore`)."""

    def __init__(self, run: Callable[..., Awaitable[Any]]) -> None:
        """run: runs a script with the prefix of the keys and these arguments, and raises StoreFailed."""
        self._run = run

    async def write(self, bundle: Bundle, until: float) -> None:
        """Keep a bundle at least until a time."""
        files = await asyncio.to_thread(_files, bundle)
        await self._run(WRITE, bundle.manifest.digest, until, bundle.name, *files)

    async def read(self, digest: str) -> Bundle | None:
        """The bundle with this digest; None where there is none."""
        name, manifest, weights = await self._run(READ, digest)
        return None if name is None else await asyncio.to_thread(_load, name.decode(), manifest, weights)

    async def collect(self, now: float) -> list[str]:
        """Nothing: redis removes what has expired."""
        return []


def _files(bundle: Bundle) -> tuple[bytes, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), bundle.manifest, bundle.meta, bundle.encoder_arrays)
        return (Path(folder) / MANIFEST).read_bytes(), (Path(folder) / WEIGHTS).read_bytes()


def _load(name: str, manifest: bytes, weights: bytes) -> Bundle:
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / name
        folder.mkdir()
        (folder / MANIFEST).write_bytes(manifest)
        (folder / WEIGHTS).write_bytes(weights)
        return load(folder)
