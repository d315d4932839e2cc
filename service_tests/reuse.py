"""Bundles and their models, loaded and made once for all servers of the test process.

Verifying the bundles and making their models takes most of the time of starting a server under test. The servers share
the bundles, which do not change. They borrow the models: two servers never have the same one at once. Many tests write
or copy the same bundles, so bundles of the same name and contents are one, in whatever folder they are.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import torch

from app.bundles.bundle import Bundle
from app.bundles.file_names import MANIFEST, WEIGHTS
from app.bundles.folder import load
from app.service.model import Model

KEPT = 64
"""Bundles, and models, that are kept at most: those that came last."""


class Reused:
    """Bundles, and the models of them that no server has at present."""

    def __init__(self) -> None:
        self._loaded: dict[object, Bundle] = {}
        self._free: list[Model] = []

    def load(self, folder: Path) -> Bundle:
        """As `app.bundles.folder.load`; a bundle is loaded again only where its name or its files are new."""
        try:
            files = tuple(sha256((folder / name).read_bytes()).digest() for name in (MANIFEST, WEIGHTS))
        except OSError:
            return load(folder)
        key = folder.name, files
        known = self._loaded.pop(key, None)
        bundle = load(folder) if known is None else known
        if ":" not in bundle.manifest.network.name:  # a network of a test's own may be another one under the same name
            self._loaded[key] = bundle
        for oldest in list(self._loaded)[:-KEPT]:
            del self._loaded[oldest]
        return bundle

    @contextmanager
    def lending(self) -> Iterator[Callable[[Bundle, torch.device], Model]]:
        """A function that a server gets its models by, instead of `Model`. At the end they are free again."""
        lent: list[Model] = []

        def borrow(bundle: Bundle, device: torch.device) -> Model:
            free = [model for model in self._free if model.bundle is bundle and model.device == device]
            if free:
                self._free.remove(free[0])
            lent.append(free[0] if free else Model(bundle, device))
            return lent[-1]

        yield borrow
        shared = set(map(id, self._loaded.values()))
        # a compiled model is not as it was
        self._free += [model for model in lent if id(model.bundle) in shared and not model.compiled]
        self._free = [model for model in self._free if id(model.bundle) in shared][-KEPT:]
