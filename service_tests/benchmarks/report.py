"""What the benchmarks share: how a rate is measured, and where results are written with their hardware and date."""

import json
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

RESULTS = Path(__file__).with_name("results")


def seconds_each(work: Callable[[], object], least_s: float = 2.0) -> float:
    """Seconds that one call takes: the best of five rounds of at least a fifth of `least_s` each, after a warm-up.

    The best, because on a shared machine everything else only ever adds time.
    """
    work()
    rounds = []
    for _ in range(5):
        calls, started = 0, perf_counter()
        while (elapsed := perf_counter() - started) < least_s / 5 or not calls:
            work()
            calls += 1
        rounds.append(elapsed / calls)
    return min(rounds)


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
