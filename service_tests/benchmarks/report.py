"""Shared by the benchmarks: measuring a rate, and writing results with their hardware and date."""

import json
import platform
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from app.device import describe

RESULTS = Path(__file__).with_name("results")
PROCESSOR = describe(torch.device("cpu"))
PACKAGES = ("fastapi", "litserve", "pydantic", "ray", "uvicorn")


def seconds_each(
    ways: Mapping[str, Callable[[], object]], rounds: int = 10, min_s: float = 0.25
) -> dict[str, list[float]]:
    """Seconds that one call of each way takes, round by round, after a warm-up.

    All take turns in each round, for at least `min_s` each, and in the other order in the next, so that all meet the
    same quiet and loud moments of a shared machine.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for work in ways.values():
        work()
    for number in range(rounds):
        for name, work in list(ways.items())[:: -1 if number % 2 else 1]:
            calls, started = 0, perf_counter()
            while (elapsed := perf_counter() - started) < min_s:
                work()
                calls += 1
            seconds[name].append(elapsed / calls)
    return seconds


def write(
    name: str, question: str, rows: list[dict[str, Any]], *, keep: bool = True, hardware: str = "", **more: object
) -> None:
    """Print the rows, and write them into `results/<name>.json`. more: further fields of the result."""
    result = {
        "question": question,
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": hardware or f"1 thread of {PROCESSOR}",
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
    """The versions of Python and of the measured packages, as far as they are installed."""
    installed = {each.name: each.version for each in distributions() if each.name in PACKAGES}
    return {"torch": torch.__version__, "python": platform.python_version(), **dict(sorted(installed.items()))}
