"""When a reload compiles models: before they replace others, and after they serve under a new name."""

import asyncio
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from app.bundles.folder import load
from app.service.catalogue import Catalogue
from app.service.model import Model
from app.service.reloader import Reloader
from service_tests.device import DEVICE


class Compiled:
    """What was compiled: the names, the digests, and what served under the names at that time."""

    def __init__(self, folder: Path) -> None:
        self.catalogue = Catalogue(lambda bundle: Model(bundle, DEVICE))
        self.reloader = Reloader(self.catalogue, folder, self._compile)
        self.calls: list[tuple[str, str, str]] = []
        self.reloader.load()

    def _compile(self, models: Iterable[Model]) -> None:
        for model in models:
            name = model.bundle.name
            self.calls.append((name, model.digest, self.catalogue.models[name].digest))


@pytest.fixture
def folder(own_models: Path) -> Path:
    """A folder with one bundle, `sinusoid`."""
    for other in own_models.iterdir():
        if other.name != "sinusoid":
            shutil.rmtree(other)
    return own_models


def test_a_bundle_that_replaces_another_is_compiled_before_it_serves(folder: Path, retrain: Callable[..., str]) -> None:
    compiled = Compiled(folder)
    before, after = load(folder / "sinusoid").manifest.digest, retrain(1.5)
    asyncio.run(compiled.reloader.reload())
    assert compiled.calls == [("sinusoid", after, before)]
    assert compiled.catalogue.models["sinusoid"].digest == after


def test_a_new_name_serves_before_it_is_compiled(folder: Path) -> None:
    compiled = Compiled(folder)
    shutil.copytree(folder / "sinusoid", folder / "another")
    asyncio.run(compiled.reloader.reload())
    digest = load(folder / "another").manifest.digest
    assert compiled.calls == [("another", digest, digest)]


def test_what_has_not_changed_is_not_compiled_again(folder: Path) -> None:
    compiled = Compiled(folder)
    asyncio.run(compiled.reloader.reload())
    assert compiled.calls == []
    assert list(compiled.catalogue.models) == ["sinusoid"]
