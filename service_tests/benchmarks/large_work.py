"""What does the largest work that a server takes cost: its memory, and the time of a small request beside it?

Each row sends one large request, or several at once, to a server with all bundles that ship, on one core. Meanwhile a
client on another core sends a small one every 10 ms. The memory is the peak of the server's process over its size
before. Half of the rows are refused: their status and their memory show that this happens before any work.
"""

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from service_tests.benchmarks.report import write
from service_tests.corners import JSON, Corner, corners, send_all
from service_tests.processes import command, memory_mib, starting, wait_until

QUESTION = "Large requests on one core: their memory, and the latency of a small request beside them"
SMALL = {"model": "sinusoid", "support": {"inputs": [[0.1], [1.2]], "targets": [0.3, 0.9]}, "queries": [[2.0]]}
EVERY_S = 0.01


class Watch:
    """Sends a small request every 10 ms, on a thread; latencies in ms."""

    def __init__(self, url: str) -> None:
        self._address = url.removeprefix("http://")
        self._body = json.dumps(SMALL)
        self.latencies: list[float] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch for as long as the block runs."""
        self.latencies, stop = [], threading.Event()
        thread = threading.Thread(target=self._watch, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _watch(self, stop: threading.Event) -> None:
        connection = HTTPConnection(self._address, timeout=300)
        while not stop.is_set():
            started = time.perf_counter()
            connection.request("POST", "/predict", self._body, {"Content-Type": JSON})
            response = connection.getresponse()
            response.read()
            assert response.status == 200, response.status
            self.latencies.append(1000 * (time.perf_counter() - started))
            time.sleep(EVERY_S)


def measure(url: str, pid: int, corner: Corner, watch: Watch) -> dict[str, Any]:
    """The row of a corner."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew
    before = memory_mib(pid, "VmRSS")
    with watch.watching():
        time.sleep(1)
    alone = watch.latencies
    started = time.perf_counter()
    with watch.watching():
        answers = send_all(url, corner)
    seconds = time.perf_counter() - started
    return {
        "corner": corner.name,
        "body_kib": sum(len(body) for *_, body in corner.requests) // 1024,
        "statuses": sorted({status for status, _ in answers}),
        "detail": next((detail for _, detail in answers if detail), "")[:160],
        "seconds": round(seconds, 2),
        "memory_mib": round(memory_mib(pid, "VmHWM") - before),
        "resident_mib": round(memory_mib(pid, "VmRSS")),
        "small_alone_p99_ms": round(float(np.percentile(alone, 99)), 1),
        "small": len(watch.latencies),
        "small_p50_ms": round(float(np.percentile(watch.latencies, 50)), 1),
        "small_p99_ms": round(float(np.percentile(watch.latencies, 99)), 1),
        "small_max_ms": round(max(watch.latencies), 1),
    }


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--only", default="", help="Only corners with this in their name; nothing is kept.")
    only = parser.parse_args().only
    server_core, *load_cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, load_cores or [server_core])
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        words = ["taskset", "--cpu-list", str(server_core), command("innerloop"), "serve"]
        with starting(words, Path(folder) / "log", state_dir=folder) as (url, process):
            wait_until(lambda: not httpx.get(f"{url}/health/ready").json()["compiling"], "it compiles too long", 500)
            watch = Watch(url)
            for corner in corners():
                if only in corner.name:
                    rows.append(measure(url, process.pid, corner, watch))
                    print(rows[-1], flush=True)
    write("large_work", QUESTION, rows, keep=not only)


if __name__ == "__main__":
    main()
