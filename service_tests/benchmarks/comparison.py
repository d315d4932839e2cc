"""Servers under the same load, in rounds, so that all of them meet the same quiet and loud moments of the machine.

Every server is warmed up and put to sleep. Then, in each round and for each number of connections, one after another
wakes up, is loaded, finishes what is left, and sleeps again; their order changes from round to round. A figure is the
median of the rounds. A ratio is the median of the rounds' ratios with its interval (`ratios`). `max_ms` is the worst of
all rounds, and `errors` are those of all rounds: a row with an error is invalid and has no figures. `cpu_us` is the
processor time of the server for a request.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from service_tests.benchmarks import wrk
from service_tests.benchmarks.ratios import with_interval
from service_tests.benchmarks.report import write
from service_tests.benchmarks.servers import Plan, Server, cores, serving

OBVIOUS, ECHO = "obvious service", "FastAPI + pydantic echo"
Prepare = Callable[[Server], Sequence[bytes]]


@dataclass(frozen=True)
class Effort:
    """How long to measure: `seconds` for each server and number of connections, in each of `rounds`."""

    connections: tuple[int, ...]
    rounds: int = 10
    seconds: int = 1


@dataclass(frozen=True)
class Contender:
    """A server, and the file of the bodies that it is sent."""

    server: Server
    url: str
    bodies: Path

    def load(self, connections: int, seconds: float) -> "Round":
        """Wake the server, load it, and let it sleep again."""
        with self.server.awake():
            before = self.server.cpu_s
            result = wrk.load(self.url, self.bodies, connections, seconds)
        return Round(result, self.server.cpu_s - before)


@dataclass(frozen=True)
class Round:
    """The result of one load. cpu_s: the processor time that the server took for it."""

    load: wrk.Load
    cpu_s: float


def effort(question: str, usual: Effort) -> Effort:
    """The effort that the command line sets."""
    parser = argparse.ArgumentParser(description=f"{question}. Only the usual effort's results are kept.")
    parser.add_argument("--connections", type=int, nargs="+", default=usual.connections)
    parser.add_argument("--rounds", type=int, default=usual.rounds)
    parser.add_argument(
        "--seconds", type=int, default=usual.seconds, help="for each round, server and number of connections"
    )
    options = parser.parse_args()
    return Effort(tuple(options.connections), options.rounds, options.seconds)


def compare(plans: Sequence[Plan], path: str, prepare: Prepare, effort: Effort) -> list[dict[str, Any]]:
    """Measure the servers; a row for each server and number of connections.

    prepare: returns the bodies that a server is sent in turn
    """
    rounds: dict[tuple[str, int], list[Round]] = {}
    with running(plans, path, prepare) as contenders:
        for number in range(effort.rounds):
            for connections in effort.connections:
                for contender in contenders if number % 2 == 0 else contenders[::-1]:
                    name, result = contender.server.name, contender.load(connections, effort.seconds)
                    rounds.setdefault((name, connections), []).append(result)
                    print(f"round {number + 1}, {connections} connections, {name}: {result.load}", file=sys.stderr)
    return [
        row(plan.name, connections, rounds[plan.name, connections])
        | relative(rounds, connections, plan.name, "times_the_obvious", OBVIOUS)
        | relative(rounds, connections, plan.name, "share_of_the_echo", ECHO)
        for connections in effort.connections
        for plan in plans
    ]


@contextmanager
def running(plans: Sequence[Plan], path: str, prepare: Prepare) -> Iterator[list[Contender]]:
    """Start all servers; they are warmed up and asleep."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        contenders = []
        for plan in plans:
            server = stack.enter_context(serving(plan, folder))
            with server.awake():
                contenders.append(warm_up(server, path, prepare, folder))
        yield contenders


def warm_up(server: Server, path: str, prepare: Prepare, folder: Path) -> Contender:
    """Write the bodies into a file, and put a first load on the server."""
    bodies = prepare(server)
    folder.mkdir(exist_ok=True)
    file = folder / f"{server.name}.jsonl"
    file.write_bytes(b"\n".join(bodies) + b"\n")
    url = server.url + path
    answer = httpx.post(url, content=bodies[0], headers={"content-type": "application/json"}, timeout=60)
    assert answer.is_success, f"{server.name} answers {answer.status_code}: {answer.text}"
    for connections in (1, 64):
        wrk.load(url, file, connections, 1)
    return Contender(server, url, file)


def row(name: str, connections: int, rounds: Sequence[Round]) -> dict[str, Any]:
    """The row of a server at a number of connections."""
    errors = sum((Counter(each.load.failed) for each in rounds), Counter[str]())
    errors["rounds without an answer"] += sum(not each.load.requests for each in rounds)
    identity = {"server": name, "connections": connections}
    if errors.total():
        return identity | {"valid": False, "errors": dict(+errors)}
    return identity | {
        "requests_per_s": round(median(each.load.requests_per_s for each in rounds), 1),
        "p50_ms": round(median(each.load.p50_ms for each in rounds), 3),
        "p99_ms": round(median(each.load.p99_ms for each in rounds), 3),
        "max_ms": round(max(each.load.max_ms for each in rounds), 1),
        "cpu_us": round(median(each.cpu_s / each.load.requests for each in rounds) * 1e6),
        "errors": 0,
        "rounds_requests_per_s": [round(each.load.requests_per_s, 1) for each in rounds],
    }


def relative(
    rounds: Mapping[tuple[str, int], Sequence[Round]], connections: int, name: str, field: str, other: str
) -> dict[str, Any]:
    """The speed of a server relative to another's in the same round; nothing where either gave no valid answer."""
    pairs = list(zip(rounds[name, connections], rounds.get((other, connections), ()), strict=False))
    if not pairs or any(not each.load.requests or each.load.failed for pair in pairs for each in pair):
        return {}
    return {**with_interval(field, [one.load.requests_per_s / two.load.requests_per_s for one, two in pairs])}


def publish(name: str, question: str, rows: list[dict[str, Any]], effort: Effort, usual: Effort) -> None:
    """Write the rows. Exit with an error if one is invalid."""
    protocol = f"medians of {effort.rounds} rounds of {effort.seconds} s each, load by wrk"
    write(name, question, rows, keep=effort == usual, hardware=str(cores()), protocol=protocol)
    invalid = [f"{each['server']} at {each['connections']}: {each['errors']}" for each in rows if each["errors"]]
    if invalid:
        sys.exit("INVALID, answered with errors: " + "; ".join(invalid))
