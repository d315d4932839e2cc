"""Bundles by digest in redis, which removes each when its time has come."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from app import bundles
from app.bundles import Bundle

WRITE = """
-- ARGV: key, until, name, bundle.json, weights
local before = tonumber(redis.call('HGET', ARGV[1], 'until') or '0')
local latest = math.max(before, tonumber(ARGV[2]))
redis.call('HSET', ARGV[1], 'until', latest, 'name', ARGV[3], 'manifest', ARGV[4], 'weights', ARGV[5])
redis.call('EXPIREAT', ARGV[1], math.ceil(latest))
"""
READ = "return redis.call('HMGET', ARGV[1], 'name', 'manifest', 'weights')"


class BundleRedis:
    """Keeps bundles beside the records (`app.service.kept_bundles.BundleStore`)."""

    def __init__(self, run: Callable[..., Awaitable[Any]], prefix: str) -> None:
        """run: runs a script with arguments, and raises StoreFailed; prefix: of the keys"""
        self._run = run
        self._prefix = prefix

    async def write(self, bundle: Bundle, until: float) -> None:
        """Keep a bundle at least until a time."""
        files = await asyncio.to_thread(_files, bundle)
        await self._run(WRITE, self._key(bundle.manifest.digest), until, bundle.name, *files)

    async def read(self, digest: str) -> Bundle | None:
        """The bundle with this digest; None where there is none."""
        name, manifest, weights = await self._run(READ, self._key(digest))
        return None if name is None else await asyncio.to_thread(_load, name.decode(), manifest, weights)

    async def collect(self, now: float) -> list[str]:
        """Nothing: redis removes what has expired."""
        return []

    def _key(self, digest: str) -> str:
        return f"{self._prefix}:bundle:{digest}"


def _files(bundle: Bundle) -> tuple[bytes, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        bundles.write(Path(folder), bundle.manifest, bundle.meta)
        return (Path(folder) / bundles.MANIFEST).read_bytes(), (Path(folder) / bundles.WEIGHTS).read_bytes()


def _load(name: str, manifest: bytes, weights: bytes) -> Bundle:
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / name
        folder.mkdir()
        (folder / bundles.MANIFEST).write_bytes(manifest)
        (folder / bundles.WEIGHTS).write_bytes(weights)
        return bundles.load(folder)
