"""Servers beside each other under the same load, in rounds, so that each meets the same quiet and loud moments.

Every server is warmed up and put to sleep; then, in each round and for each number of connections, one after another
wakes up, is loaded, finishes what is left, and sleeps again. A figure is that of its best round, by requests a second,
because whatever else runs on a shared machine only ever takes away; `max_ms` is the worst of all rounds, and `errors`
are those of all rounds: one error, and the row is invalid and has no figures. `cpu_us` is the processor time that the
server took a request, on which the neighbours weigh least.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from service_tests.benchmarks.report import write
from service_tests.benchmarks.servers import Plan, Server, cores, serving
from service_tests.benchmarks.wrk import Load, load

OBVIOUS, ECHO = "obvious service", "FastAPI + pydantic echo"
Prepare = Callable[[Server], Sequence[bytes]]


@dataclass(frozen=True)
class Effort:
    """How long is measured: `seconds` a server and number of connections, in each of `rounds`."""

    connections: tuple[int, ...]
    rounds: int = 3
    seconds: int = 3


@dataclass(frozen=True)
class Contender:
    """A server with the bodies that it is sent."""

    server: Server
    url: str
    bodies: Path

    def loaded(self, connections: int, seconds: float) -> "Round":
        """Wake the server, load it, and let it sleep again."""
        with self.server.awake():
            before = self.server.cpu_s
            came = load(self.url, self.bodies, connections, seconds)
        return Round(came, self.server.cpu_s - before)


@dataclass(frozen=True)
class Round:
    """What came of one load. cpu_s: the processor time that the server took for it."""

    load: Load
    cpu_s: float


def effort(question: str, usual: Effort) -> Effort:
    """The effort that the command line asks for."""
    parser = argparse.ArgumentParser(description=f"{question}. Only the usual effort's results are kept.")
    parser.add_argument("--connections", type=int, nargs="+", default=usual.connections)
    parser.add_argument("--rounds", type=int, default=usual.rounds)
    parser.add_argument("--seconds", type=int, default=usual.seconds, help="a round, a server and connections")
    said = parser.parse_args()
    return Effort(tuple(said.connections), said.rounds, said.seconds)


def compare(plans: Sequence[Plan], path: str, prepare: Prepare, how: Effort) -> list[dict[str, Any]]:
    """Measure the servers: a row for each and each number of connections.

    prepare: gives the bodies that a server is sent, in turn
    """
    rounds: dict[tuple[str, int], list[Round]] = {}
    with running(plans, path, prepare) as contenders:
        for number in range(how.rounds):
            for connections in how.connections:
                for one in contenders:
                    measured = one.loaded(connections, how.seconds)
                    rounds.setdefault((one.server.name, connections), []).append(measured)
                    said = f"round {number + 1}, {connections} connections, {one.server.name}: {measured.load}"
                    print(said, file=sys.stderr)
    return [
        row(plan.name, connections, rounds[plan.name, connections]) for connections in how.connections for plan in plans
    ]


@contextmanager
def running(plans: Sequence[Plan], path: str, prepare: Prepare) -> Iterator[list[Contender]]:
    """All servers, warmed up and asleep."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        contenders = []
        for plan in plans:
            server = stack.enter_context(serving(plan, folder))
            with server.awake():
                contenders.append(warmed(server, path, prepare, folder))
        yield contenders


def warmed(server: Server, path: str, prepare: Prepare, folder: Path) -> Contender:
    """The server after a first load, with its bodies in a file."""
    bodies = prepare(server)
    file = folder / f"{server.name}.jsonl"
    file.write_bytes(b"\n".join(bodies) + b"\n")
    url = server.url + path
    answer = httpx.post(url, content=bodies[0], headers={"content-type": "application/json"}, timeout=60)
    assert answer.is_success, f"{server.name} answers {answer.status_code}: {answer.text}"
    for connections in (1, 64):
        load(url, file, connections, 1)
    return Contender(server, url, file)


def row(name: str, connections: int, rounds: Sequence[Round]) -> dict[str, Any]:
    """The row of a server at a number of connections."""
    errors = sum((Counter(each.load.failed) for each in rounds), Counter[str]())
    errors["rounds without an answer"] += sum(not each.load.requests for each in rounds)
    identity = {"server": name, "connections": connections}
    if errors.total():
        return identity | {"valid": False, "errors": dict(+errors)}
    best = max(rounds, key=lambda each: each.load.requests_per_s).load
    return identity | {
        "requests_per_s": round(best.requests_per_s, 1),
        "p50_ms": round(best.p50_ms, 3),
        "p99_ms": round(best.p99_ms, 3),
        "max_ms": round(max(each.load.max_ms for each in rounds), 1),
        "cpu_us": round(min(each.cpu_s / each.load.requests for each in rounds) * 1e6),
        "errors": 0,
        "rounds_requests_per_s": [round(each.load.requests_per_s, 1) for each in rounds],
    }


def with_ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with their speed beside that of the obvious service and of the echo, at the same connections."""
    speed = {(each["server"], each["connections"]): each.get("requests_per_s") for each in rows}

    def ratio(each: dict[str, Any], server: str) -> float | None:
        mine, theirs = each.get("requests_per_s"), speed.get((server, each["connections"]))
        return round(mine / theirs, 3) if mine and theirs else None

    return [each | {"times_the_obvious": ratio(each, OBVIOUS), "share_of_the_echo": ratio(each, ECHO)} for each in rows]


def publish(name: str, question: str, rows: list[dict[str, Any]], how: Effort, usual: Effort) -> None:
    """Write the rows, with ratios; end with an error where one is invalid."""
    protocol = f"best of {how.rounds} rounds of {how.seconds} s each, load by wrk"
    rows = with_ratios(rows)
    write(name, question, rows, keep=how == usual, hardware=str(cores()), protocol=protocol)
    invalid = [f"{each['server']} at {each['connections']}: {each['errors']}" for each in rows if each["errors"]]
    if invalid:
        sys.exit("INVALID, answered with errors: " + "; ".join(invalid))
