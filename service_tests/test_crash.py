"""kill -9 under load: every adaptation that was acknowledged answers afterwards, and as it did before (promise 3).

`python -m service_tests.test_crash 20` does it twenty times, compiled as in service.
"""

import asyncio
import os
import random
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx

from service_tests.processes import command, starting

CONNECTIONS = 16
QUERIES = [[-3.0], [0.5], [4.0]]
Acknowledged = dict[str, tuple[dict[str, Any], list[list[float]] | None]]
"""By id: the request to adapt, and what the adaptation predicted before the crash, if the request was in time."""


def random_body(generator: random.Random) -> dict[str, Any]:
    inputs = [[generator.uniform(-5, 5)] for _ in range(10)]
    return {"model": "sinusoid", "support": {"inputs": inputs, "targets": [generator.uniform(-5, 5) for _ in inputs]}}


async def adapt_until_the_end(client: httpx.AsyncClient, generator: random.Random, acknowledged: Acknowledged) -> None:
    try:
        while True:
            body = random_body(generator)
            answer = await client.post("/adapt", json=body)
            if answer.status_code == 422:
                continue  # on noise the inner loop sometimes diverges
            new_id = answer.raise_for_status().json()["adaptation_id"]
            acknowledged[new_id] = body, None
            predicted = await client.post("/predict", json={"adaptation_id": new_id, "queries": QUERIES})
            acknowledged[new_id] = body, predicted.raise_for_status().json()["predictions"]
    except httpx.TransportError:
        return


async def load_and_kill(url: str, pid: int, seed: int, acknowledged: Acknowledged, seconds: float) -> None:
    async with httpx.AsyncClient(base_url=url) as client:
        asyncio.get_running_loop().call_later(seconds, os.kill, pid, signal.SIGKILL)
        generator = random.Random(seed)
        await asyncio.gather(*(adapt_until_the_end(client, generator, acknowledged) for _ in range(CONNECTIONS)))


async def max_distance(url: str, acknowledged: Acknowledged) -> float:
    """The largest distance of predictions by the acknowledged adaptations from those before, and from adapting anew."""
    worst = 0.0
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        for each_id, (body, before) in acknowledged.items():
            after = await predictions(client, {"adaptation_id": each_id})
            expected = [before] if before else []
            for each in (*expected, await predictions(client, body)):
                worst = max(worst, *(abs(one[0] - two[0]) for one, two in zip(after, each, strict=True)))
    return worst


async def predictions(client: httpx.AsyncClient, body: dict[str, Any]) -> list[list[float]]:
    answer = await client.post("/predict", json=body | {"queries": QUERIES})
    rows: list[list[float]] = answer.raise_for_status().json()["predictions"]
    return rows


def crash(rounds: int, folder: Path, **settings: object) -> tuple[int, float]:
    """Crash so many times; return the number of acknowledged adaptations, and the largest distance of predictions."""
    everything: Acknowledged = {}
    worst = 0.0
    for number in range(rounds):
        acknowledged: Acknowledged = {}
        with starting([command("innerloop"), "serve"], folder / "log", state_dir=folder, **settings) as (url, process):
            asyncio.run(load_and_kill(url, process.pid, number, acknowledged, seconds=1 + number % 5 / 4))
            assert process.wait(10) == -signal.SIGKILL
        everything |= acknowledged
        sample = random.Random(number).sample(sorted(everything), min(50, len(everything)))
        with starting([command("innerloop"), "serve"], folder / "log", state_dir=folder, **settings) as (url, _):
            worst = max(
                worst, asyncio.run(max_distance(url, acknowledged | {each: everything[each] for each in sample}))
            )
        print(f"{number + 1}: {len(acknowledged)} acknowledged, furthest apart {worst:.2g}")  # noqa: T201
    return len(everything), worst


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    count, worst = crash(2, tmp_path, compile=False)
    assert count > 20
    assert worst <= 1e-4


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        print(crash(int(sys.argv[1]), Path(name)))  # noqa: T201
