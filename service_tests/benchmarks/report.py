"""What the benchmarks share: how a rate is measured, and where results are written with their hardware and date."""

import json
import platform
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

RESULTS = Path(__file__).with_name("results")


def seconds_each(ways: Mapping[str, Callable[[], object]], rounds: int = 8, least_s: float = 0.25) -> dict[str, float]:
    """Seconds that one call of each takes: its best round, after a warm-up.

    All take part in each round of at least `least_s`, in turn, so that all meet the same quiet and loud moments of a
    shared machine; the best round, because whatever else runs there only ever adds time.
    """
    best = {name: float("inf") for name in ways}
    for work in ways.values():
        work()
    for _ in range(rounds):
        for name, work in ways.items():
            calls, started = 0, perf_counter()
            while (elapsed := perf_counter() - started) < least_s:
                work()
                calls += 1
            best[name] = min(best[name], elapsed / calls)
    return best


def write(name: str, question: str, rows: list[dict[str, Any]]) -> None:
    """Print the rows, and keep them in `results/<name>.json`."""
    result = {
        "question": question,
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": f"1 thread of {processor()}",
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "rows": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
    print(question)
    for row in rows:
        print("  " + ", ".join(f"{key}: {value}" for key, value in row.items()))


def processor() -> str:
    """The processor's name."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
