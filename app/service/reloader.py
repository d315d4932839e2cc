"""Hot reload: read the models folder again when it changes or on request, while the server answers requests."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from watchfiles import awatch

from app.bundles.folder import load_all
from app.service.catalogue import Catalogue
from app.service.health import Health
from app.service.model import Model


class Reloader:
    """Keeps a catalogue in step with the models folder."""

    def __init__(
        self,
        catalogue: Catalogue,
        folder: Path,
        compile_all: Callable[[Iterable[Model]], None],
        health: Health | None = None,
    ) -> None:
        """Nothing is loaded yet.

        compile_all: compiles models, one after another; it may take long, and runs on a thread
        health: receives a report when the folder cannot be read or watched
        """
        self._catalogue = catalogue
        self._health = health or Health()
        self._folder = folder
        self._compile_all = compile_all
        self._requested = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def load(self) -> None:
        """Serve the bundles of the folder, eager at first."""
        good, refused = load_all(self._folder)
        self._catalogue.exchange(self._catalogue.make_models(good, refused), good, refused)

    def request(self) -> None:
        """Request a reload, from any thread or from a signal handler."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._requested.set)

    async def run(self) -> None:
        """Reload whenever it is requested."""
        self._loop = asyncio.get_running_loop()
        while True:
            await self._requested.wait()
            self._requested.clear()
            try:
                await self.reload()
            except (OSError, RuntimeError) as error:  # the folder is gone, or the device is full
                reason = (
                    f'The folder {self._folder} cannot be read ("{error}"): the server keeps the models that it '
                    "has; send SIGHUP to try again"
                )
                self._health.begin("reload", reason)
            else:
                self._health.end("reload")

    async def watch(self) -> None:
        """Request a reload whenever a file in the folder changes."""
        if not self._folder.is_dir():
            reason = f"The folder {self._folder} does not exist: create it, then restart the server"
            self._health.begin("watch", reason)
            return
        try:
            async for _ in awatch(self._folder):
                self._requested.set()
        except (OSError, RuntimeError) as error:  # the system may have no more watches to give
            reason = f'The folder {self._folder} cannot be watched ("{error}"): send SIGHUP to load new bundles'
            self._health.begin("watch", reason)

    async def reload(self) -> None:
        """Read the folder again. A new name serves at once; a bundle that replaces another, once it is compiled."""
        good, refused = await asyncio.to_thread(load_all, self._folder)
        new = await asyncio.to_thread(self._catalogue.make_models, good, refused)
        replacing = [model for name, model in new.items() if name in self._catalogue.models]
        await self._compile(replacing)
        self._catalogue.exchange(new, good, refused)
        await self._compile([model for model in new.values() if model not in replacing])

    async def _compile(self, models: list[Model]) -> None:
        if models:
            await asyncio.to_thread(self._compile_all, models)
