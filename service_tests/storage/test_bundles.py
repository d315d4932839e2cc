"""Bundles by digest: kept until their time has come, in every store.

`python -m service_tests.storage.test_bundles FOLDER ROUNDS` kills a process that writes and collects, again and again.
"""

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.bundles.bundle import Bundle
from app.bundles.folder import load, write
from app.errors import BundleError
from app.service.health import Health
from app.service.pinned_bundles import MARGIN_S, BundleStore, PinnedBundles
from app.storage.bundle_folder import REMOVED, BundleFolder
from app.storage.bundle_memory import BundleMemory
from app.storage.disk_reserve import DiskReserve
from app.storage.redis import RedisStore
from service_tests.bundles import write_table_bundle
from service_tests.processes import ROOT
from service_tests.storage.records import PLENTY

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
        kept, until = PinnedBundles(folder_store(tmp_path)), tmp_path / "bundles" / DIGEST / "until"
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


def test_a_damaged_bundle_is_not_served(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = folder_store(tmp_path)
        await store.write(BUNDLE, until=100)
        (tmp_path / "bundles" / DIGEST / "linear/weights.safetensors").write_bytes(b"rubbish")
        with pytest.raises(BundleError, match="sha256"):
            await store.read(DIGEST)
        assert await PinnedBundles(store).read(DIGEST) is None

    run(scenario)


@pytest.mark.parametrize("cure", ["restored", "removed"])
def test_a_damaged_bundle_degrades_until_it_is_restored_or_removed(
    tmp_path: Path, cure: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    weights = tmp_path / "bundles" / DIGEST / "linear/weights.safetensors"

    async def scenario() -> None:
        store, health = folder_store(tmp_path), Health()
        kept = PinnedBundles(store, health)
        await kept.keep(BUNDLE, until=100)
        whole = weights.read_bytes()
        weights.write_bytes(whole + b"rubbish")
        for _ in range(3):
            assert await kept.read(DIGEST) is None
            await kept.check()
        assert str(weights) in health.degraded["pinned"]
        assert "restore the bundle" in health.degraded["pinned"]
        assert health.unavailable is None
        if cure == "restored":
            weights.write_bytes(whole)
        else:
            shutil.rmtree(weights.parent.parent)
        await kept.check()
        assert health.degraded == {}
        assert (await kept.read(DIGEST) is None) == (cure == "removed")

    run(scenario)
    assert [each.getMessage().split(": ")[:2] for each in caplog.records] == [
        ["degraded", "pinned"],
        ["no longer degraded", "pinned"],
    ]


def test_redis_keeps_a_bundle_until_its_time_has_come(redis_url: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with RedisStore(redis_url, PLENTY, prefix=f"test:{tmp_path.name}") as opened:
            store, now = opened.bundles, time.time()
            assert await store.read(DIGEST) is None
            await store.write(BUNDLE, until=now + 100)
            await store.write(BUNDLE, until=now + 1)  # the later time counts
            assert await store.collect(now + 50) == []
            kept = await store.read(DIGEST)
            assert kept is not None
            assert (kept.name, kept.manifest.digest) == ("linear", DIGEST)
            assert all((kept.meta[name] == value).all() for name, value in BUNDLE.meta.items())
        async with RedisStore(redis_url, PLENTY, prefix=f"test:{tmp_path.name} other") as opened:
            assert await opened.bundles.read(DIGEST) is None
            await opened.bundles.write(BUNDLE, until=now - 10)
            assert await opened.bundles.read(DIGEST) is None, "its time has come"

    run(scenario)


def test_redis_keeps_the_encoder_of_a_bundle(redis_url: str, tmp_path: Path) -> None:
    write_table_bundle(tmp_path / "wards")
    bundle = load(tmp_path / "wards")

    async def scenario() -> None:
        async with RedisStore(redis_url, PLENTY, prefix=f"test:{tmp_path.name}") as opened:
            await opened.bundles.write(bundle, until=time.time() + 100)
            kept = await opened.bundles.read(bundle.manifest.digest)
            assert kept is not None
            assert kept.manifest == bundle.manifest
            assert kept.encoder.describe() == bundle.encoder.describe()

    run(scenario)


def test_a_process_that_is_killed_while_it_collects_loses_nothing_that_is_kept(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "service_tests.storage.test_bundles", str(tmp_path), "8"]
    subprocess.run(words, cwd=ROOT, check=True)


def variants(folder: Path, count: int) -> list[Bundle]:
    """Bundles of the same name with other weights."""
    for number in range(count):
        meta = {name: value * (1 + number) for name, value in BUNDLE.meta.items()}
        write(folder / str(number) / "linear", BUNDLE.manifest, meta)
    return [load(folder / str(number) / "linear") for number in range(count)]


def kill_at_random(folder: Path, rounds: int) -> None:
    """Kill a process, again and again, that writes bundles and removes some; look at what is left."""
    generator, bundles, interrupted = random.Random(1), variants(folder, 4), 0
    store, pinned, expired = folder_store(folder), bundles[:2], bundles[2:]
    for bundle in pinned:
        asyncio.run(store.write(bundle, until=1e12))

    async def write_and_collect() -> None:
        while True:
            await asyncio.gather(*(store.write(each, until=1) for each in expired), store.write(pinned[0], until=50))
            await asyncio.gather(store.collect(100), store.write(pinned[1], until=60))

    for _ in range(rounds):
        child = os.fork()
        if child == 0:
            asyncio.run(write_and_collect())
        time.sleep(generator.uniform(0.002, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        interrupted += any(each.name.startswith(REMOVED) for each in (folder / "bundles").iterdir())
        for bundle in pinned:
            kept = asyncio.run(store.read(bundle.manifest.digest))
            assert kept is not None
            assert kept.manifest.digest == bundle.manifest.digest
    asyncio.run(store.collect(100))
    assert {each.name for each in (folder / "bundles").iterdir()} == {each.manifest.digest for each in pinned}
    print(f"{interrupted} of {rounds} kills came in the middle of a removal")  # noqa: T201


if __name__ == "__main__":
    kill_at_random(Path(sys.argv[1]), int(sys.argv[2]))
