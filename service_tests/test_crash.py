"""kill -9 under load: every acknowledged adaptation survives and predicts the same as before (promise 3).

`python -m service_tests.test_crash 20` crashes a compiled server twenty times.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from service_tests.forked import Forked
from service_tests.processes import command, starting, starting_fork

CONNECTIONS = 16
SERVE = [command("innerloop"), "serve"]
QUERIES = [[-3.0], [0.5], [4.0]]
Serving = Callable[[], AbstractContextManager[tuple[str, subprocess.Popen[bytes] | Forked]]]
"""Starts a server on the same folder each time."""
Acknowledged = dict[str, tuple[dict[str, Any], list[list[float]] | None]]
"""By id: the body of /adapt, and the predictions before the crash if they arrived in time."""


def random_body(generator: random.Random) -> dict[str, Any]:
    inputs = [[generator.uniform(-5, 5)] for _ in range(10)]
    return {"model": "sinusoid", "support": {"inputs": inputs, "targets": [generator.uniform(-5, 5) for _ in inputs]}}


async def adapt_until_killed(client: httpx.AsyncClient, generator: random.Random, acknowledged: Acknowledged) -> None:
    try:
        while True:
            body = random_body(generator)
            response = await client.post("/adapt", json=body)
            if response.status_code == 422:
                continue  # on noise the inner loop sometimes diverges
            new_id = response.raise_for_status().json()["adaptation_id"]
            acknowledged[new_id] = body, None
            prediction = await client.post("/predict", json={"adaptation_id": new_id, "queries": QUERIES})
            acknowledged[new_id] = body, prediction.raise_for_status().json()["predictions"]
    except httpx.TransportError:
        return


async def load_and_kill(url: str, pid: int, seed: int, acknowledged: Acknowledged, seconds: float) -> None:
    async with httpx.AsyncClient(base_url=url) as client:
        asyncio.get_running_loop().call_later(seconds, os.kill, pid, signal.SIGKILL)
        generator = random.Random(seed)
        await asyncio.gather(*(adapt_until_killed(client, generator, acknowledged) for _ in range(CONNECTIONS)))


async def max_difference(url: str, acknowledged: Acknowledged) -> float:
    """The largest difference of predictions after the crash from those before it, and from those of adapting again."""

    async def difference(client: httpx.AsyncClient, adaptation_id: str) -> float:
        body, before = acknowledged[adaptation_id]
        after, again = await predictions(client, {"adaptation_id": adaptation_id}), await predictions(client, body)
        references = [again, before] if before else [again]
        return max(abs(one[0] - two[0]) for reference in references for one, two in zip(after, reference, strict=True))

    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        return max(await asyncio.gather(*(difference(client, each) for each in acknowledged)), default=0.0)


async def predictions(client: httpx.AsyncClient, body: dict[str, Any]) -> list[list[float]]:
    response = await client.post("/predict", json=body | {"queries": QUERIES})
    rows: list[list[float]] = response.raise_for_status().json()["predictions"]
    return rows


def crash(rounds: int, serving: Serving) -> tuple[int, float]:
    """Crash a server this many times; return the number of acknowledged adaptations and the largest difference."""
    all_acknowledged: Acknowledged = {}
    worst = 0.0
    for number in range(rounds):
        acknowledged: Acknowledged = {}
        with serving() as (url, process):
            asyncio.run(load_and_kill(url, process.pid, number, acknowledged, seconds=0.5 + number % 5 / 4))
            assert process.wait(10) == -signal.SIGKILL
        all_acknowledged |= acknowledged
        sample = random.Random(number).sample(sorted(all_acknowledged), min(50, len(all_acknowledged)))
        with serving() as (url, _):
            worst = max(
                worst,
                asyncio.run(max_difference(url, acknowledged | {each: all_acknowledged[each] for each in sample})),
            )
        print(f"{number + 1}: {len(acknowledged)} acknowledged, largest difference {worst:.2g}")  # noqa: T201
    return len(all_acknowledged), worst


def test_acknowledged_adaptations_survive_kill_9(tmp_path: Path) -> None:
    settings = {"compile": False, "state_dir": tmp_path}
    count, worst = crash(2, partial(starting_fork, SERVE, tmp_path / "log", **settings))
    assert count > 20
    assert worst <= 1e-4


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        print(crash(int(sys.argv[1]), partial(starting, SERVE, Path(name) / "log", state_dir=name)))  # noqa: T201
