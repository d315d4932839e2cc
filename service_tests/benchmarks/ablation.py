"""What does each trick bring? The full server beside the server with one trick alone switched off.

The figures are POST /adapt and POST /predict at 1 and 64 connections, with the bodies of `adapt_http` and
`predict_http`, and `Model.adapt` for 1, 32 and 256 tasks: 10 examples, 5 steps, MLP 1-40-40-1. `without` describes the
tricks. A trick is left out of the figures that it cannot change.

All servers start first, with only the bundle `sinusoid`, and sleep. Each of them has to serve all compiled programs but
that of its trick; otherwise it starts again, because a noisy moment can hide that a program is faster. Then, in each
round and for each figure, the full server is measured between two others, on the same core, and the order changes from
round to round. So each trick gives a ratio of neighbours in each round, of the full server to the one without: the
table has their median, with its interval (`ratios`). Above 1 the trick helps, where the figure is
requests or calls a second; where it is processor time for a request, it helps below 1. `nothing` is the full server
once more: its row shows the noise.

The servers are warm: what a trick brings to the first requests after a start is not here. The full server answers more
requests than the others, so its store grows more: what that costs is in the row of `nothing` too.

    python -m service_tests.benchmarks.ablation
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import httpx
from rich.console import Console
from rich.table import Table

from service_tests.benchmarks.bodies import adapt_all, queries, supports
from service_tests.benchmarks.comparison import Contender, Prepare, Round, warm_up
from service_tests.benchmarks.ratios import MIN_ROUNDS, ratios
from service_tests.benchmarks.report import write
from service_tests.benchmarks.servers import Plan, Server, cores, innerloop, serving
from service_tests.benchmarks.versions import row as http_row
from service_tests.benchmarks.without import NOTHING, TRICKS
from service_tests.processes import MAML

QUESTION = "The full server relative to the server without one trick"
FULL = "full server"
IDS = 10_000
STARTS = 3
"""How often a server may start until it serves its compiled programs."""
BURST_S = 0.3
"""Seconds of calls of the inner loop."""
PROGRAMS = {"compiled", "unrolled", "look_up", "single"}
HELPS = 1.05
"""The ratio of requests or calls a second from which a trick is marked."""


class Figure(NamedTuple):
    """A figure: `what` is adapt, predict or inner; `size` the connections, or the tasks of the inner loop."""

    what: str
    size: int

    def __str__(self) -> str:
        return f"{self.what}-{self.size}"


# the adaptations come last, as their fast weights evict those that the predictions use
FIGURES = {
    str(figure): figure
    for figure in (
        Figure("predict", 1),
        Figure("predict", 64),
        Figure("inner", 1),
        Figure("inner", 32),
        Figure("inner", 256),
        Figure("adapt", 1),
        Figure("adapt", 64),
    )
}


@cache
def _supports(count: int) -> list[bytes]:
    return supports(count)


PREPARE: dict[str, Prepare] = {
    "predict": lambda server: queries(adapt_all(server, _supports(IDS))),
    "adapt": lambda _: _supports(512),
}
"""What makes the bodies for a server, by `Figure.what`."""
Result = Round | float
"""A load over HTTP, or the seconds of a call of the inner loop."""


@dataclass(frozen=True)
class Effort:
    """What to measure, in how many rounds. seconds: of each load over HTTP."""

    tricks: tuple[str, ...] = tuple(TRICKS)
    figures: tuple[str, ...] = tuple(FIGURES)
    rounds: int = 10
    seconds: int = 1


@dataclass(frozen=True)
class Variant:
    """A warm server, asleep. contenders: the server with its bodies, by `Figure.what`."""

    trick: str
    server: Server
    contenders: dict[str, Contender]

    def measure(self, figure: Figure, seconds: float) -> Result:
        """Wake the server, measure a figure, and let it sleep again."""
        if figure.what in self.contenders:
            return self.contenders[figure.what].load(figure.size, seconds)
        with self.server.awake():
            answer = httpx.get(
                f"{self.server.url}/inner-loop", params={"tasks": figure.size, "seconds": BURST_S}, timeout=60
            )
        return float(answer.raise_for_status().json()["seconds"])


def main() -> None:
    """Measure, and write the results."""
    effort, started = _effort(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        models = Path(folder) / "models"
        shutil.copytree(MAML, models / "sinusoid")
        full, *variants = [
            stack.enter_context(starting(name, trick, effort, Path(folder)))
            for name, trick in [(FULL, NOTHING), *((trick, trick) for trick in effort.tricks)]
        ]
        print(f"all have started after {time.monotonic() - started:.0f} s", file=sys.stderr)
        rows = [
            row(trick, figure, pairs)
            for figure in map(FIGURES.__getitem__, effort.figures)
            for trick, pairs in compare(full, variants, figure, effort).items()
        ]
    write(
        "ablation",
        QUESTION,
        rows,
        keep=effort == Effort(),
        hardware=str(cores()),
        protocol=f"{effort.rounds} rounds; loads of {effort.seconds} s by wrk, inner loops of {BURST_S} s",
    )
    show(rows, effort)
    print(f"{(time.monotonic() - started) / 60:.1f} minutes")
    failed = [f"{row['figure']} without {row['trick']}: {row['errors']}" for row in rows if "errors" in row]
    if failed:
        sys.exit("INVALID, answered with errors: " + "; ".join(failed))


def _effort() -> Effort:
    usual = Effort()
    parser = argparse.ArgumentParser(description=f"{QUESTION}. Only the usual effort's results are kept.")
    parser.add_argument("--tricks", nargs="+", choices=TRICKS, default=usual.tricks, help="besides nothing")
    parser.add_argument("--figures", nargs="+", choices=FIGURES, default=usual.figures)
    parser.add_argument("--rounds", type=int, default=usual.rounds, help=f"at least {MIN_ROUNDS}")
    parser.add_argument("--seconds", type=int, default=usual.seconds, help="of each load over HTTP")
    options = parser.parse_args()
    if options.rounds < MIN_ROUNDS:
        parser.error(f"--rounds is {options.rounds}: the interval needs at least {MIN_ROUNDS}")
    tricks = tuple(trick for trick in TRICKS if trick in (*options.tricks, NOTHING))
    figures = tuple(figure for figure in FIGURES if figure in options.figures)
    return Effort(tricks, figures, options.rounds, options.seconds)


@contextmanager
def starting(name: str, trick: str, effort: Effort, folder: Path) -> Iterator[Variant]:
    """Start the server without a trick, and warm it up."""
    plan = innerloop(name, folder / f"state-{name}", models_dir=folder / "models")
    module, arguments = "service_tests.benchmarks.without", ["serve", "--port", "PORT"]
    plan = replace(plan, command=[sys.executable, "-m", module, trick, *arguments])
    wanted = PROGRAMS - {TRICKS[trick].program}
    measured = {FIGURES[figure].what for figure in effort.figures} & {*TRICKS[trick].affects}
    with ExitStack() as stack:
        server = stack.enter_context(_with_programs(plan, wanted, folder))
        with server.awake():
            contenders = {}
            for what, prepare in PREPARE.items():
                if what in measured:
                    bodies = folder / what
                    bodies.mkdir(exist_ok=True)
                    contenders[what] = warm_up(server, f"/{what}", prepare, bodies)
        yield Variant(trick, server, contenders)


@contextmanager
def _with_programs(plan: Plan, wanted: set[str], folder: Path) -> Iterator[Server]:
    """Start a server that serves these compiled programs. Another start may measure them in a quieter moment."""
    for _ in range(STARTS):
        with serving(plan, folder) as server:
            found = set(httpx.get(f"{server.url}/programs").raise_for_status().json())
            if found == wanted:
                yield server
                return
            print(f"{plan.name} serves {sorted(found)} instead of {sorted(wanted)}", file=sys.stderr)
    sys.exit(f"{plan.name} does not serve what it should after {STARTS} starts")


def compare(
    full: Variant, variants: Sequence[Variant], figure: Figure, effort: Effort
) -> dict[str, list[tuple[Any, Any]]]:
    """Measure a figure in all rounds. Returns the pairs of results, of the full server and without, by trick."""
    affected = [each for each in variants if figure.what in TRICKS[each.trick].affects]
    pairs: dict[str, list[tuple[Any, Any]]] = {each.trick: [] for each in affected}
    for number in range(effort.rounds):
        for start in range(0, len(affected), 2):
            before, *after = affected[start : start + 2]
            neighbours = [before, full, *after]
            if number % 2:
                neighbours.reverse()
            results = {each.server.name: each.measure(figure, effort.seconds) for each in neighbours}
            for each in (before, *after):
                pairs[each.trick].append((results[FULL], results[each.server.name]))
        print(f"{figure}: round {number + 1} of {effort.rounds}", file=sys.stderr)
    return pairs


def row(trick: str, figure: Figure, pairs: Sequence[tuple[Any, Any]]) -> dict[str, Any]:
    """The medians of both servers, and of the ratios of their results. `other` is the server without the trick."""
    identity = {"trick": trick, "figure": str(figure)}
    if figure.what != "inner":
        return identity | http_row(f"/{figure.what}", figure.size, pairs)
    full, other = zip(*pairs, strict=True)
    return {
        **identity,
        "tasks": figure.size,
        "us_per_call": round(median(full) * 1e6, 1),
        "other_us_per_call": round(median(other) * 1e6, 1),
        **ratios("calls_per_s", [without / all_on for all_on, without in pairs]),
    }


def show(rows: Sequence[dict[str, Any]], effort: Effort) -> None:
    """Print a table of requests or calls a second, and one of processor time for a request."""
    speed, cpu = ("requests_per_s", "calls_per_s"), ("cpu",)
    titles = {
        speed: f"Requests or calls a second, full server / without; * at least {HELPS} and the interval above 1",
        cpu: f"Processor time for a request, full server / without; * at most {1 / HELPS:.2f} and the interval below 1",
    }
    console = Console(width=None if sys.stdout.isatty() else 200)
    for fields, title in titles.items():
        figures = [figure for figure in effort.figures if fields is speed or FIGURES[figure].what != "inner"]
        if not figures:
            continue
        table = Table("trick", *figures)
        for trick in effort.tricks:
            mine = {row["figure"]: row for row in rows if row["trick"] == trick}
            table.add_row(trick, *(_cell(mine.get(figure, {}), fields) for figure in figures))
        print(f"\n{title}")
        console.print(table)


def _cell(row: dict[str, Any], fields: Sequence[str]) -> str:
    """The median of the ratios with its interval, and a star where the trick helps."""
    if "errors" in row:
        return "errors"
    for name in fields:
        if f"{name}_ratio" in row:
            ratio, (low, high) = row[f"{name}_ratio"], row[f"{name}_ratio_95"]
            helps = (ratio <= 1 / HELPS and high < 1) if name == "cpu" else (ratio >= HELPS and low > 1)
            return f"{ratio:.2f}{'*' if helps else ''} ({low:.2f} to {high:.2f})"
    return ""


if __name__ == "__main__":
    main()
