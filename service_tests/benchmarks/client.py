"""What does the Python client cost?

1. A call of `Client` beside bare httpx, which posts the same JSON over a connection that stays open and reads the
   answer. The client sends X-Timeout-Ms and, to adapt, an Idempotency-Key, which cost the server something too: `same
   headers` is httpx with these.
2. 500 tasks by `adapt_many` beside a loop of `adapt`.
3. The import of innerloop_client beside that of httpx, each in a fresh process.

In each round all ways take turns, in the other order in the next round. The server has a core of its own.

    python -m service_tests.benchmarks.client
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

import httpx
import orjson

from innerloop_client import Client, InnerloopError
from service_tests.benchmarks.bodies import SHOTS, STEPS, supports
from service_tests.benchmarks.ratios import with_interval
from service_tests.benchmarks.report import seconds_each, write
from service_tests.benchmarks.servers import cores, innerloop, on, serving

ROUNDS, MANY_ROUNDS, TASKS = 10, 6, 500
QUESTION = f"The Python client beside bare httpx: {SHOTS} examples, {STEPS} steps, 1 query"
IMPORT = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"
Ways = Mapping[str, Callable[[], object]]


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=f"{QUESTION}. Only the usual number of rounds is kept.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    bodies = [orjson.loads(body) for body in supports(TASKS)]
    with (
        tempfile.TemporaryDirectory() as name,
        serving(innerloop("Innerloop", Path(name) / "state"), Path(name)) as server,
        on(cores().load),
        Client(server.url) as client,
        httpx.Client(base_url=server.url) as bare,
    ):
        rows = [
            calls_row("adapt", seconds_each(adapt_ways(client, bare, bodies[0]), rounds)),
            calls_row("predict", seconds_each(predict_ways(client, bare, bodies[0]), rounds)),
            many_row(seconds_each(many_ways(client, bodies), min(rounds, MANY_ROUNDS))),
            import_row(2 * rounds),
        ]
    write("client", QUESTION, rows, keep=rounds == ROUNDS, hardware=str(cores()), httpx=httpx.__version__)


def adapt_ways(client: Client, bare: httpx.Client, body: Mapping[str, Any]) -> Ways:
    """One call that adapts."""
    x, y = body["support"]["inputs"], body["support"]["targets"]

    def post(headers: Mapping[str, str]) -> str:
        answer = bare.post("/adapt", json=body, headers=headers)
        answer.raise_for_status()
        return str(answer.json()["adaptation_id"])

    return {
        "client": lambda: client.adapt("sinusoid", x, y, steps=STEPS),
        "httpx": lambda: post({}),
        "same headers": lambda: post({"X-Timeout-Ms": "60000", "Idempotency-Key": uuid4().hex}),
    }


def predict_ways(client: Client, bare: httpx.Client, body: Mapping[str, Any]) -> Ways:
    """One call that predicts with a stored adaptation."""
    pump = client.adapt("sinusoid", body["support"]["inputs"], body["support"]["targets"])
    queries = [[1.25]]

    def post(headers: Mapping[str, str]) -> list[Any]:
        answer = bare.post("/predict", json={"adaptation_id": pump.id, "queries": queries}, headers=headers)
        answer.raise_for_status()
        return [value for [value] in answer.json()["predictions"]]

    assert pump.predict(queries) == post({})
    return {
        "client": lambda: pump.predict(queries),
        "httpx": lambda: post({}),
        "same headers": lambda: post({"X-Timeout-Ms": "60000"}),
    }


def many_ways(client: Client, bodies: Sequence[Mapping[str, Any]]) -> Ways:
    """All tasks, each with an adaptation of its own."""
    tasks: list[Any] = [
        {"model": "sinusoid", "x": body["support"]["inputs"], "y": body["support"]["targets"], "steps": STEPS}
        for body in bodies
    ]

    def many() -> None:
        errors = [each for each in client.adapt_many(tasks) if isinstance(each, InnerloopError)]
        assert not errors, errors[0]

    return {"adapt_many": many, "loop": lambda: [client.adapt(**task) for task in tasks]}


def calls_row(call: str, seconds: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """The time of a call, and its ratios to both ways of httpx."""
    return {
        "call": call,
        "client_us": round(median(seconds["client"]) * 1e6),
        "httpx_us": round(median(seconds["httpx"]) * 1e6),
        "same_headers_us": round(median(seconds["same headers"]) * 1e6),
        **with_interval("times_httpx", divided(seconds["client"], seconds["httpx"]), 3),
        **with_interval("times_same_headers", divided(seconds["client"], seconds["same headers"]), 3),
    }


def many_row(seconds: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """The time of all tasks, and how many times faster they are in few requests."""
    return {
        "call": f"{TASKS} tasks",
        "adapt_many_s": round(median(seconds["adapt_many"]), 3),
        "loop_s": round(median(seconds["loop"]), 3),
        **with_interval("times_faster", divided(seconds["loop"], seconds["adapt_many"]), 2),
    }


def import_row(rounds: int) -> dict[str, Any]:
    """The time of imports."""
    seconds: dict[str, list[float]] = {"innerloop_client": [], "httpx": []}
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}  # installed packages have bytecode, a checkout may not
    for number in range(rounds + 1):
        for module in list(seconds)[:: -1 if number % 2 else 1]:
            command = [sys.executable, "-c", IMPORT.format(module)]
            output = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
            if number:  # the first import writes bytecode
                seconds[module].append(float(output))
    return {
        "call": "import",
        "client_us": round(median(seconds["innerloop_client"]) * 1e6),
        "httpx_us": round(median(seconds["httpx"]) * 1e6),
        **with_interval("times_httpx", divided(seconds["innerloop_client"], seconds["httpx"]), 3),
    }


def divided(one: Sequence[float], two: Sequence[float]) -> list[float]:
    """The ratios of figures of the same round."""
    return [first / second for first, second in zip(one, two, strict=True)]


if __name__ == "__main__":
    main()
