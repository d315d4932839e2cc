"""What does an adaptation cost in memory and on disk, and does the server stay as fast with a million of them?

One server with its default store grows, by application/x-ndjson over HTTP, from 1,000 to 1,000,000 adaptations
(sinusoids, 10 examples, 5 steps). Each row has the memory of its process beyond that of a server with one adaptation,
the bytes of its state folder, and the times to list a hundred adaptations, to get a random one, and to predict by one
with cached fast weights and by a random one, over a single connection. Times are medians, of the best of 5 rounds;
`x_...` is the ratio to the smallest size. The cache of fast weights has its default size and is part of the memory.
"""

import argparse
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import orjson

from service_tests.benchmarks.bodies import adapt_all, queries, supports
from service_tests.benchmarks.connections import get, post, send_all
from service_tests.benchmarks.report import write
from service_tests.benchmarks.servers import Server, cores, serving, stores

SIZES = (1_000, 10_000, 100_000, 1_000_000)
LINES, ROUNDS, TIMES, MIB = 1_000, 5, 100, 2**20
QUESTION = "Memory, disk and times of a server that holds many adaptations: 10 examples, 5 steps, MLP 1-40-40-1"


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=f"{QUESTION}. Only the usual sizes' results are kept.")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="ascending, each full thousands")
    sizes = tuple(parser.parse_args().sizes)
    with tempfile.TemporaryDirectory() as folder:
        plan = stores(Path(folder))[0]
        with serving(plan, Path(folder)) as server:
            rows = measure(server, Path(plan.environment["INNERLOOP_STATE_DIR"]), sizes)
    rows = [each | ratios(each, rows[0]) for each in rows]
    write("capacity", QUESTION, rows, keep=sizes == SIZES, hardware=str(cores()))


def measure(server: Server, state: Path, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Grow the server from size to size; a row for each size."""
    adapt_all(server, supports(1))
    empty, ids, rows = server.resident_bytes, list[str](), []
    for size in sizes:
        before, started = len(ids), perf_counter()
        grow(server, ids, size)
        rate = (len(ids) - before) / (perf_counter() - started)
        server.settle()
        memory, disk = server.resident_bytes, sum(each.stat().st_size for each in state.glob("*.sqlite*"))
        measured = {
            "adaptations": len(ids),
            "memory_mib": round(memory / MIB),
            "memory_bytes_each": round((memory - empty) / len(ids)),
            "disk_mib": round(disk / MIB, 1),
            "disk_bytes_each": round(disk / len(ids)),
        }
        rows.append(measured | times(server, ids) | {"adapted_per_s": round(rate)})
        print(rows[-1], file=sys.stderr)
    return rows


def grow(server: Server, ids: list[str], size: int) -> None:
    """Make adaptations until there are `size`, with a thousand lines in a request."""
    lines = post("/adapt", b"\n".join(supports(LINES)), "application/x-ndjson")
    while len(ids) < size:
        requests = [lines] * min(100, -(-(size - len(ids)) // LINES))
        for answer in send_all(server.url, requests, connections=4):
            assert answer.good, f"{server.name} answers {answer.status}: {answer.body[:500]!r}"
            ids += [orjson.loads(line)["adaptation_id"] for line in answer.body.splitlines()]


def times(server: Server, ids: Sequence[str]) -> dict[str, float]:
    """Milliseconds of each request: its median in the best round."""
    best: dict[str, float] = {}
    for number in range(ROUNDS):
        generator = random.Random(number)
        sample = generator.sample(ids, TIMES)
        requests_by_time = {
            "list_ms": [get("/adaptations?limit=100")] * TIMES,
            "get_ms": [get(f"/adaptations/{each}") for each in sample],
            "predict_any_ms": [post("/predict", body) for body in queries(generator.sample(ids, TIMES))],
            "predict_cached_ms": [post("/predict", body) for body in queries([ids[-1]] * TIMES)],
        }
        for name, requests in requests_by_time.items():
            answers = send_all(server.url, requests, connections=1)
            assert all(answer.good for answer in answers), f"{server.name}, {name}: {answers}"
            time = median(answer.seconds for answer in answers) * 1e3
            best[name] = min(best.get(name, time), round(time, 3))
    return best


def ratios(row: dict[str, Any], first: dict[str, Any]) -> dict[str, float]:
    """The ratio of each time to that of the first size."""
    names = [name for name in row if name.endswith("_ms")]
    return {f"x_{name.removesuffix('_ms')}": round(row[name] / first[name], 2) for name in names}


if __name__ == "__main__":
    main()
