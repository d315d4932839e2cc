"""What the benchmarks share: how a rate is measured, and where results are written with their hardware and date."""

import json
import platform
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

RESULTS = Path(__file__).with_name("results")
PACKAGES = ("fastapi", "litserve", "pydantic", "ray", "uvicorn")


def seconds_each(ways: Mapping[str, Callable[[], object]], rounds: int = 8, min_s: float = 0.25) -> dict[str, float]:
    """Seconds that one call of each takes: its best round, after a warm-up.

    All take part in each round of at least `min_s`, in turn, so that all meet the same quiet and loud moments of a
    shared machine; the best round, because whatever else runs there only ever adds time.
    """
    best = {name: float("inf") for name in ways}
    for work in ways.values():
        work()
    for _ in range(rounds):
        for name, work in ways.items():
            calls, started = 0, perf_counter()
            while (elapsed := perf_counter() - started) < min_s:
                work()
                calls += 1
            best[name] = min(best[name], elapsed / calls)
    return best


def write(
    name: str, question: str, rows: list[dict[str, Any]], *, keep: bool = True, hardware: str = "", **more: object
) -> None:
    """Print the rows and keep them in `results/<name>.json`, with whatever more belongs to the result."""
    result = {
        "question": question,
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": hardware or f"1 thread of {processor()}",
        "versions": versions(),
        **more,
        "rows": rows,
    }
    if keep:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
    print(question)
    for row in rows:
        print("  " + ", ".join(f"{key}: {value}" for key, value in row.items()))


def versions() -> dict[str, str]:
    """Those of Python and of the packages that are measured, as far as they are installed."""
    installed = {each.name: each.version for each in distributions() if each.name in PACKAGES}
    return {"torch": torch.__version__, "python": platform.python_version(), **dict(sorted(installed.items()))}


def processor() -> str:
    """The processor's name."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
