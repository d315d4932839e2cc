"""What a server has said of its models, so that it is not asked for each request."""

import time
from collections.abc import Mapping
from typing import Any

KEPT_S = 60.0
"""A request that relies on what is known says for which version of the model it is, so it may be out of date."""


class KnownModels:
    """Descriptions of models, by name and digest; None stands for the current version. Threads may share it."""

    def __init__(self) -> None:
        self._bodies: dict[tuple[str, str | None], tuple[float, Mapping[str, Any]]] = {}

    def find(self, name: str, digest: str | None = None) -> Mapping[str, Any] | None:
        """A description that is not too old."""
        at, body = self._bodies.get((name, digest), (0.0, None))
        return body if body is not None and at >= time.monotonic() - KEPT_S else None

    def keep(self, name: str, digest: str | None, body: Mapping[str, Any]) -> None:
        """Keep a description."""
        self._bodies[name, digest] = time.monotonic(), body

    def forget_current(self) -> None:
        """Forget which versions are current, because the server has others."""
        for key in list(self._bodies):
            if key[1] is None:
                self._bodies.pop(key, None)
