"""Bundles that adaptations are pinned to, kept by digest until the last of these adaptations has expired."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from app.bundles.bundle import Bundle
from app.errors import BundleError, StoreFailed
from app.service.health import Health

log = logging.getLogger(__name__)

MARGIN_S = 86_400
"""A bundle is kept for this much longer than it has to be, so that not every adaptation has to write how long."""
COLLECT_S = 3_600
"""How often bundles that nothing needs any more are removed."""

CONDITION = "pinned"
FIX = (
    "restore the bundle in the store from a backup, or remove it there. Until then using the adaptations that are "
    "pinned to it gets a 409"
)


class BundleStore(Protocol):
    """Where bundles are kept: beside the records of adaptations, so that each server that has these has the bundles."""

    async def write(self, bundle: Bundle, until: float) -> None:
        """Keep a bundle at least until a time, in seconds since the epoch. Raises StoreFailed."""

    async def read(self, digest: str) -> Bundle | None:
        """The bundle with this digest; None where there is none. Raises StoreFailed and BundleError."""

    async def collect(self, now: float) -> list[str]:
        """Remove the bundles that have to be kept no longer, and return their digests. Raises StoreFailed."""


class PinnedBundles:
    """Keeps what adaptations are pinned to. One event loop at a time uses it."""

    def __init__(self, store: BundleStore, health: Health | None = None) -> None:
        """health: receives a report when a bundle is damaged, and when that ends."""
        self._store = store
        self._health = health or Health()
        self._until: dict[str, float] = {}
        self._damaged: dict[str, str] = {}  # the reason by digest

    async def keep(self, bundle: Bundle, until: float) -> None:
        """Keep a bundle for an adaptation that expires at `until`. Raises StoreFailed."""
        digest = bundle.manifest.digest
        if self._until.get(digest, 0.0) < until:
            await self._store.write(bundle, until + MARGIN_S)
            self._until[digest] = until + MARGIN_S

    async def read(self, digest: str) -> Bundle | None:
        """The bundle with this digest, if it was kept and can be loaded. Raises StoreFailed."""
        try:
            bundle = await self._store.read(digest)
        except BundleError as error:
            self._damaged[digest] = str(error)
            self._report()
            return None
        self._mended(digest)
        return bundle

    async def check(self) -> None:
        """Find out whether damaged bundles can be loaded again, or are gone."""
        for digest in list(self._damaged):
            with suppress(StoreFailed):  # the store reports it
                await self.read(digest)

    def _mended(self, digest: str) -> None:
        if self._damaged.pop(digest, None) is not None:
            self._report()

    def _report(self) -> None:
        if self._damaged:
            self._health.begin(CONDITION, f"{'; '.join(self._damaged.values())}: {FIX}")
        else:
            self._health.end(CONDITION)

    async def collect(self, clock: Callable[[], float]) -> None:
        """Remove bundles that nothing needs any more, again and again."""
        while True:
            await asyncio.sleep(COLLECT_S)
            try:
                for digest in await self._store.collect(clock()):
                    self._until.pop(digest, None)
                    self._mended(digest)
                    log.info("removed the bundle %s: the last adaptation pinned to it has expired", digest[:12])
            except StoreFailed as error:
                log.error("bundles cannot be removed; trying again in %g s: %s", COLLECT_S, error)
