"""How much longer does a prediction take whose fast weights are not cached, after eviction or after a restart?

A server with the smallest cache (`INNERLOOP_FAST_WEIGHTS_BYTES=0`: two fused calls' worth, 512 adaptations) holds some
4,000 adaptations of sinusoids, 10 examples, 5 steps. Requests take them in order, so that each was evicted long before
its turn, and once more right after, cached; so both meet the same moments of a shared machine. Alone: one after another
over one connection. Together: 64 different ones at once, each over its own connection. A time is that of one request,
from sending to response. Then the server restarts on its file, and the same is measured with nothing cached.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from service_tests.benchmarks.bodies import adapt_all, queries, supports
from service_tests.benchmarks.connections import post, send_in_waves
from service_tests.benchmarks.report import write
from service_tests.benchmarks.servers import Server, cores, serving, stores

IDS, TOGETHER = 4096, 64
QUESTION = "POST /predict, one query: milliseconds with fast weights cached, and derived again"


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=f"{QUESTION}. Only the usual number's results are kept.")
    parser.add_argument("--ids", type=int, default=IDS, help="adaptations; over 1,500")
    count = parser.parse_args().ids
    with tempfile.TemporaryDirectory() as folder:
        plan = stores(Path(folder), fast_weights_bytes=0)[0]
        with serving(plan, Path(folder)) as server:
            ids = adapt_all(server, supports(count))
            warm_up(server, ids[-TOGETHER:])
            rows = list(measure(server, ids, "eviction"))
        with serving(plan, Path(folder)) as server:
            warm_up(server, ids[-TOGETHER:])
            rows += measure(server, ids[:-TOGETHER], "restart")
    write("evicted", QUESTION, rows, keep=count == IDS, hardware=str(cores()))


def warm_up(server: Server, ids: Sequence[str]) -> None:
    """Predict with these, one after another and all at once."""
    for size in (1, len(ids)):
        list(both(server, ids, size))


def measure(server: Server, ids: Sequence[str], after: str) -> Iterator[dict[str, Any]]:
    """Rows for one half of the ids, requested alone, and for the other, requested together."""
    half = len(ids) // 2
    for part, at_once in ((ids[:half], 1), (ids[half:], TOGETHER)):
        derived, cached = both(server, part, at_once)
        for name, times in (("cached", cached), ("derived again", derived)):
            yield {
                "after": after,
                "at_once": at_once,
                "fast_weights": name,
                **{f"p{percent}_ms": round(float(np.percentile(times, percent)), 3) for percent in (50, 99)},
                "max_ms": round(float(np.max(times)), 1),
                "times_cached": round(float(np.median(times) / np.median(cached)), 2),
            }


def both(server: Server, ids: Sequence[str], at_once: int) -> tuple[np.ndarray, np.ndarray]:
    """Milliseconds of the first request for each id, and of a second right after it, with `at_once` ids at a time."""
    waves = []
    for start in range(0, len(ids) - at_once + 1, at_once):
        requests = [post("/predict", body) for body in queries(ids[start : start + at_once])]
        waves += [requests, requests]
    answers = send_in_waves(server.url, waves)
    failed = [answer for wave in answers for answer in wave if not answer.good]
    assert not failed, f"{server.name}: {len(failed)} requests failed, the first: {failed[0]}"
    times = np.array([[answer.seconds * 1e3 for answer in wave] for wave in answers])
    return times[0::2].ravel(), times[1::2].ravel()


if __name__ == "__main__":
    main()
