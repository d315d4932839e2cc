"""The memory of a server with all bundles that ship stays within the bound that app/docs/http.md states."""

from pathlib import Path

from service_tests.corners import Corner, corners, queries_msgpack, send_all
from service_tests.processes import command, memory_mib, starting

SHARE = 1 / 16
"""The corners, and most limits, are so much smaller than those of the benchmark `large_work`."""
WORK, WAITING = 320, 32
"""Limits in MiB. What the C library keeps for itself does not become smaller with the corners."""


def test_the_largest_requests_stay_within_the_bound(tmp_path: Path) -> None:
    limits = {
        "max_work_bytes": WORK * 2**20,
        "max_waiting_bytes": WAITING * 2**20,
        "max_multiply_adds": int(SHARE * 500e9),
        "max_support_examples": int(SHARE * 10_000),
        "fast_weights_bytes": 2**20,
    }
    words = [command("innerloop"), "serve"]
    with starting(words, tmp_path / "log", state_dir=tmp_path, compile=False, **limits) as (url, process):
        before, statuses = memory_mib(process.pid, "VmRSS"), set()
        for corner in [*corners(SHARE), Corner("many parts", [queries_msgpack(2**23)])]:
            answers = send_all(url, corner)
            grown = memory_mib(process.pid, "VmHWM") - before
            assert grown < WORK + 2 * WAITING, f"{corner.name}: the memory grew by {grown} MiB; {answers}"
            statuses |= {status for status, _ in answers}
    assert statuses == {200, 201, 400, 422, 503}
