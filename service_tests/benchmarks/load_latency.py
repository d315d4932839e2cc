"""How long does POST /adapt take under a given load: Innerloop, the obvious service and a mere echo?

The capacity of a server is what wrk gets through 64 connections. Then requests arrive at a constant rate, 10 to 120 %
of that capacity, whether or not the earlier ones were answered, and each latency counts from when its request was due
(`open_loop`). Servers take turns in each round; a row is the round with the median p99. Bodies are those of
`adapt_http`. `lag_p99_ms` is the generator's own lateness: unless it is far below the latencies, the machine was too
busy to measure them.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from service_tests.benchmarks.bodies import supports
from service_tests.benchmarks.comparison import ECHO, OBVIOUS, Contender, running
from service_tests.benchmarks.connections import post
from service_tests.benchmarks.open_loop import Arrivals, offer
from service_tests.benchmarks.report import write
from service_tests.benchmarks.servers import cores, rival, stores

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9, 1.2)
QUESTION = "POST /adapt: latency at a constant rate of arrival, by share of each server's own capacity"


@dataclass(frozen=True)
class Effort:
    """How long to measure: `seconds` for each server and share, in each of `rounds`."""

    rounds: int = 2
    seconds: int = 3


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=f"{QUESTION}. Only the usual effort's results are kept.")
    parser.add_argument("--rounds", type=int, default=Effort.rounds)
    parser.add_argument("--seconds", type=int, default=Effort.seconds)
    effort = Effort(**vars(parser.parse_args()))
    bodies = supports(512)
    with tempfile.TemporaryDirectory() as folder:
        plans = [stores(Path(folder))[0], *rival(OBVIOUS, "obvious"), *rival(ECHO, "echo")]
        with running(plans, "/adapt", lambda _: bodies) as contenders:
            rows = measure(contenders, [post("/adapt", body) for body in bodies], effort)
    write("load_latency", QUESTION, rows, keep=effort == Effort(), hardware=str(cores()))


def measure(contenders: Sequence[Contender], requests: Sequence[bytes], effort: Effort) -> list[dict[str, Any]]:
    """Load the servers in turn; a row for each server and share of its capacity."""
    capacity = {each.server.name: capacity_of(each, effort) for each in contenders}
    rounds: dict[tuple[str, float], list[Arrivals]] = {}
    for _ in range(effort.rounds):
        for share in SHARES:
            for each in contenders:
                name = each.server.name
                with each.server.awake():
                    arrivals = offer(each.server.url, requests, share * capacity[name], effort.seconds)
                rounds.setdefault((name, share), []).append(arrivals)
                print(f"{name}, {share:.0%}: p99 {arrivals.percentile(99):.2f} ms", file=sys.stderr)
    return [row(name, share, capacity, rounds[name, share]) for name in capacity for share in SHARES]


def capacity_of(contender: Contender, effort: Effort) -> float:
    """Requests a second in the median of as many rounds."""
    return float(np.median([contender.load(64, effort.seconds).load.requests_per_s for _ in range(effort.rounds)]))


def row(name: str, share: float, capacity: Mapping[str, float], rounds: Sequence[Arrivals]) -> dict[str, Any]:
    """The row of a server at a share of its capacity."""
    chosen = sorted(rounds, key=lambda each: each.percentile(99))[len(rounds) // 2]
    return {
        "server": name,
        "share_of_capacity": share,
        "offered_per_s": round(share * capacity[name], 1),
        **{f"p{part:g}_ms": round(chosen.percentile(part), 3) for part in (50, 90, 99, 99.9, 100)},
        "lag_p99_ms": round(float(np.percentile(chosen.lags_ms, 99)), 3),
        "errors": {str(status): count for each in rounds for status, count in each.failed.items() if count},
    }


if __name__ == "__main__":
    main()
