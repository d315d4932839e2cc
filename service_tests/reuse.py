"""The shipped bundles and their models, loaded and made once for all servers of the test process.

Verifying the bundles and making their models takes most of the time of starting a server under test. The servers share
the bundles, which do not change. They borrow the models: two servers never have the same one at once.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from app.bundles.bundle import Bundle
from app.bundles.file_names import MANIFEST, WEIGHTS
from app.bundles.folder import load
from app.service.model import Model


class Shipped:
    """The bundles in a folder, and the models of them that no server has at present."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: dict[object, Bundle] = {}
        self._free: list[Model] = []

    def load(self, folder: Path) -> Bundle:
        """As `app.bundles.folder.load`; a bundle of the folder is loaded again only once its files have changed."""
        if folder.parent != self._folder:
            return load(folder)
        files = [(folder / name).stat() for name in (MANIFEST, WEIGHTS)]
        key = folder, *((file.st_ino, file.st_size, file.st_mtime_ns) for file in files)
        if key not in self._loaded:
            self._loaded[key] = load(folder)
        return self._loaded[key]

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
