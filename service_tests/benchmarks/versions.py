"""Is this checkout as fast over HTTP as another commit of the project?

POST /adapt and POST /predict, with the bodies of `adapt_http` and `predict_http`, are measured in pairs: this checkout
and the other one run one right after the other, on the same core, and change their order from pair to pair. For half of
the pairs this checkout's server has started first, for the other half the other's: a commit beside itself was 7 %
slower in the server that had started first. Both serve only the bundle `sinusoid` of their checkout. Each pair
gives a ratio, this checkout to the other, of requests a second and of processor time for a request. A row has the
median of the ratios with its interval (`ratios`). Each server has its own state folder, and compiled code in
`state/cache` of its checkout.

    python -m service_tests.benchmarks.versions --other FOLDER
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from service_tests.benchmarks.bodies import adapt_all, queries, supports
from service_tests.benchmarks.comparison import Contender, Effort, Prepare, Round, running
from service_tests.benchmarks.ratios import MIN_ROUNDS, ratios
from service_tests.benchmarks.report import write
from service_tests.benchmarks.servers import Plan, Server, cores, innerloop
from service_tests.processes import MAML, ROOT

IDS = 10_000
USUAL = Effort(connections=(1, 64), rounds=10, seconds=3)
QUESTION = "This checkout relative to another, over HTTP: requests a second and processor time for a request"


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=f"{QUESTION}. Only the usual effort's results are kept.")
    parser.add_argument("--other", type=Path, required=True, help="folder with a checkout of the other commit")
    parser.add_argument("--name", default="", help="name of the other commit in the results, instead of its folder's")
    parser.add_argument("--connections", type=int, nargs="+", default=USUAL.connections)
    parser.add_argument("--pairs", type=int, default=USUAL.rounds, help=f"at least {MIN_ROUNDS}")
    parser.add_argument("--seconds", type=int, default=USUAL.seconds, help="for each server in a pair")
    options = parser.parse_args()
    if options.pairs < MIN_ROUNDS or options.pairs % 2:
        parser.error(f"--pairs is {options.pairs}: an even number is needed, of at least {MIN_ROUNDS}")
    if not (options.other / "app").is_dir():
        parser.error(f"--other is {options.other}, which is no checkout: it has no folder app")
    effort = Effort(tuple(options.connections), options.pairs, options.seconds)
    bodies, bodies_of_ids = supports(512), supports(IDS)

    def ids_first(server: Server) -> list[bytes]:
        return queries(adapt_all(server, bodies_of_ids))

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        checkouts = {"this checkout": ROOT, "the other checkout": options.other.resolve()}
        for name, checkout in checkouts.items():
            maml = checkout / MAML.relative_to(ROOT)
            bundle = maml if maml.exists() else checkout / "models/sinusoid"  # where it was in older commits
            shutil.copytree(bundle, Path(folder) / name / "sinusoid")
        for path, prepare in {"/adapt": lambda _: bodies, "/predict": ids_first}.items():
            pairs: dict[int, list[tuple[Round, Round]]] = {connections: [] for connections in effort.connections}
            for first in checkouts:
                plans = [
                    innerloop(
                        name,
                        Path(folder) / f"{path[1:]}, {first} first, {name}",
                        checkout,
                        models_dir=Path(folder) / name,
                    )
                    for name, checkout in checkouts.items()
                ]
                half = replace(effort, rounds=effort.rounds // 2)
                compare(plans, path, prepare, half, pairs, other_first=plans[0].name != first)
            rows += [row(path, connections, rounds) for connections, rounds in pairs.items()]
    write(
        "versions",
        QUESTION,
        rows,
        keep=effort == USUAL,
        hardware=str(cores()),
        other=options.name or options.other.resolve().name,
        protocol=f"{effort.rounds} pairs of {effort.seconds} s each, load by wrk",
    )
    failed = [f"POST {row['path']} at {row['connections']}: {row['errors']}" for row in rows if "errors" in row]
    if failed:
        sys.exit("INVALID, answered with errors: " + "; ".join(failed))


def compare(
    plans: Sequence[Plan],
    path: str,
    prepare: Prepare,
    effort: Effort,
    pairs: Mapping[int, list[tuple[Round, Round]]],
    *,
    other_first: bool,
) -> None:
    """Start two servers, and add a pair of results to those of each number of connections in each round.

    other_first: whether the second of the plans starts first
    """
    with running(plans[::-1] if other_first else plans, path, prepare) as contenders:
        ours, other = contenders[::-1] if other_first else contenders
        for number in range(effort.rounds):
            for connections in effort.connections:
                pair = measure(ours, other, connections, effort.seconds, reverse=number % 2 == 1)
                pairs[connections].append(pair)
                print(f"POST {path}, {connections} connections: {pair[0].load} | {pair[1].load}", file=sys.stderr)


def measure(ours: Contender, other: Contender, connections: int, seconds: int, *, reverse: bool) -> tuple[Round, Round]:
    """Load both servers, one right after the other. reverse: the other one first."""
    if reverse:
        second = other.load(connections, seconds)
        return ours.load(connections, seconds), second
    return ours.load(connections, seconds), other.load(connections, seconds)


def row(path: str, connections: int, pairs: Sequence[tuple[Round, Round]]) -> dict[str, Any]:
    """The medians of both servers, and of the ratios of the pairs."""
    identity = {"path": path, "connections": connections}
    failed = [each.load.failed or "no response" for pair in pairs for each in pair if not _is_valid(each)]
    if failed:
        return identity | {"valid": False, "errors": failed}
    ours, other = zip(*pairs, strict=True)
    return {
        **identity,
        "requests_per_s": round(median(each.load.requests_per_s for each in ours), 1),
        "other_requests_per_s": round(median(each.load.requests_per_s for each in other), 1),
        **ratios("requests_per_s", [one.load.requests_per_s / two.load.requests_per_s for one, two in pairs]),
        "cpu_us": round(median(map(_cpu_us, ours)), 1),
        "other_cpu_us": round(median(map(_cpu_us, other)), 1),
        **ratios("cpu", [_cpu_us(one) / _cpu_us(two) for one, two in pairs]),
    }


def _is_valid(each: Round) -> bool:
    return each.load.requests > 0 and not each.load.failed


def _cpu_us(each: Round) -> float:
    return each.cpu_s / each.load.requests * 1e6


if __name__ == "__main__":
    main()
