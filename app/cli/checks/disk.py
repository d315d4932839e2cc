"""The free space for the state folder and for compiled code."""

import shutil
from collections.abc import Iterator

from app.cli.checks.finding import Finding, size_text
from app.cli.checks.store import can_write
from app.errors import expectation
from app.service.compiled.cache import MIN_FREE_BYTES
from app.service.health import Health
from app.settings import Settings
from app.storage.disk_reserve import MAX_BYTES, DiskReserve, nearest_existing

PART = "disk"


def check(settings: Settings) -> Iterator[Finding]:
    """Compare the free space with what the server keeps in reserve."""
    if settings.store == "sqlite":
        yield _state(settings)
    if settings.compile:
        yield _cache(settings)


def _state(settings: Settings) -> Finding:
    folder = settings.state_dir
    reserve, free = DiskReserve(folder, Health()), shutil.disk_usage(nearest_existing(folder)).free
    if reserve.is_low():
        return Finding(PART, "problem", str(reserve.refusal()))
    if free < 2 * MAX_BYTES:
        actual, expected = f"{size_text(free)} free", f"at least {size_text(2 * MAX_BYTES)} free"
        return Finding(PART, "warning", expectation(f"The disk of {folder}", expected, actual, "make room on it"))
    return Finding(PART, "ok", f"{size_text(free)} free for the state folder ({folder})")


def _cache(settings: Settings) -> Finding:
    folder = settings.compile_cache
    free = shutil.disk_usage(nearest_existing(folder)).free
    if can_write(folder) and free >= MIN_FREE_BYTES:
        return Finding(PART, "ok", f"{size_text(free)} free for compiled code ({folder})")
    expected = f"a folder that the server may write to, with {size_text(MIN_FREE_BYTES)} free"
    if can_write(folder):
        actual, fix = f"{size_text(free)} free", "make room on its disk"
    else:
        actual, fix = "one that it may not write to", "give it to the user of the server with chown"
    fix += ", or set INNERLOOP_CACHE_DIR to another folder"
    text = expectation(f"The folder of compiled code, {folder}", expected, actual, fix)
    return Finding(PART, "warning", f"{text}. Until then the server compiles again at each start")
