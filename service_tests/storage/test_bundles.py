"""Bundles by digest: kept until their time has come, in every store."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.bundles import load
from app.errors import BundleError
from app.service.health import Health
from app.service.kept_bundles import MARGIN_S, BundleStore, KeptBundles
from app.storage.bundle_folder import REMOVED, BundleFolder
from app.storage.bundle_memory import BundleMemory
from app.storage.disk_reserve import DiskReserve
from service_tests.processes import ROOT

BUNDLE = load(ROOT / "models/linear")
DIGEST = BUNDLE.manifest.digest


def folder_store(folder: Path) -> BundleFolder:
    return BundleFolder(folder, DiskReserve(folder, Health()))


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BundleStore:
    return folder_store(tmp_path) if request.param == "folder" else BundleMemory()


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scenario())  # type: ignore[arg-type]


def test_what_is_written_is_read_until_its_time_has_come(store: BundleStore) -> None:
    async def scenario() -> None:
        assert await store.read(DIGEST) is None
        assert await store.collect(1e12) == []
        await store.write(BUNDLE, until=100)
        await store.write(BUNDLE, until=50)
        assert await store.collect(99) == []
        kept = await store.read(DIGEST)
        assert kept is not None
        assert (kept.name, kept.manifest.digest) == ("linear", DIGEST)
        assert all((kept.meta[name] == value).all() for name, value in BUNDLE.meta.items())
        assert await store.collect(101) == [DIGEST]
        assert await store.read(DIGEST) is None

    run(scenario)


def test_the_time_is_written_once_for_many_adaptations(tmp_path: Path) -> None:
    async def scenario() -> None:
        kept, until = KeptBundles(folder_store(tmp_path)), tmp_path / "bundles" / DIGEST / "until"
        await kept.keep(BUNDLE, 1000.0)
        assert float(until.read_text()) == 1000 + MARGIN_S
        until.write_text("untouched")
        await kept.keep(BUNDLE, 1000.0 + MARGIN_S)
        assert until.read_text() == "untouched"
        await kept.keep(BUNDLE, 1001.0 + MARGIN_S)
        assert float(until.read_text()) == 1001 + 2 * MARGIN_S

    run(scenario)


def test_what_a_killed_process_left_is_removed_and_never_read(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = folder_store(tmp_path)
        await store.write(BUNDLE, until=100)
        kept = tmp_path / "bundles" / DIGEST
        shutil.copytree(kept, kept.with_name(REMOVED + "half"))
        (kept.with_name("without-a-time") / "linear").mkdir(parents=True)
        assert await store.collect(99) == ["without-a-time"]
        assert [each.name for each in (tmp_path / "bundles").iterdir()] == [DIGEST]

    run(scenario)


def test_a_damaged_bundle_is_not_served(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        store = folder_store(tmp_path)
        await store.write(BUNDLE, until=100)
        (tmp_path / "bundles" / DIGEST / "linear/weights.safetensors").write_bytes(b"rubbish")
        with pytest.raises(BundleError, match="sha256"):
            await store.read(DIGEST)
        assert await KeptBundles(store).read(DIGEST) is None
        assert "cannot be loaded" in caplog.text

    run(scenario)
