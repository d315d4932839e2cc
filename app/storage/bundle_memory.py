"""Bundles by digest in memory, for servers whose adaptations do not outlive them either."""

from app.bundles.bundle import Bundle


class BundleMemory:
    """Keeps bundles as long as the process runs (`app.service.pinned_bundles.BundleStore`)."""

    def __init__(self) -> None:
        self._bundles: dict[str, tuple[Bundle, float]] = {}

    async def write(self, bundle: Bundle, until: float) -> None:
        """Keep a bundle at least until a time."""
        _, before = self._bundles.get(bundle.manifest.digest, (bundle, 0.0))
        self._bundles[bundle.manifest.digest] = bundle, max(until, before)

    async def read(self, digest: str) -> Bundle | None:
        """The bundle with this digest; None where there is none."""
        bundle, _ = self._bundles.get(digest, (None, 0.0))
        return bundle

    async def collect(self, now: float) -> list[str]:
        """Remove the bundles that have to be kept no longer, and return their digests."""
        collected = [digest for digest, (_, until) in self._bundles.items() if until < now]
        for digest in collected:
            del self._bundles[digest]
        return collected
