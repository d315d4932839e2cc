"""How many requests a second does the server answer on a GPU, beside the CPU of the same machine?

POST /adapt and POST /predict of the bundles `sinusoid` (10 examples, 5 steps), `omniglot` (5 classes of one drawing
each, as PNGs) and `navigation` (20 episodes of 20 decisions with their rewards), JSON, through 64 connections. A
request to /predict has one query for one adaptation. One server computes on the GPU, the other on one thread of the
CPU; both run on one core, and the load on another. The docstring of `comparison` describes rounds and figures.

The result also has what each server logged about its compiled code when it started, and how much memory of the card was
in use before, when the servers were ready, and after all of the load.
"""

import base64
import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import orjson
import typer
from PIL import Image

from app.device import choose_device, describe
from service_tests.benchmarks.bodies import adapt_all, supports
from service_tests.benchmarks.comparison import Round, row, warm_up
from service_tests.benchmarks.report import write
from service_tests.benchmarks.servers import Plan, Server, cores, innerloop, serving
from service_tests.processes import ROOT

MODELS = ("sinusoid", "omniglot", "navigation")
QUESTION = "POST /adapt and POST /predict on a GPU and on the CPU of the same machine, requests a second"
SUPPORT_SETS = 64
"""Different support sets of a bundle."""
COMPILER = "app.service.compiled"
"""The package whose loggers report what was compiled."""


def plan(device: str, folder: Path) -> Plan:
    """Innerloop on a device, ready once it has compiled what it can."""
    models = folder / "models"
    for name in MODELS:
        shutil.copytree(ROOT / "models" / name, models / name, dirs_exist_ok=True)
    settings = {"device": device, "models_dir": models, "log_level": "info"}
    usual = innerloop(f"Innerloop on {device}", folder / f"state-{device}", **settings)
    # compiled code need not serve, as it may be no faster there; its log tells that compiling has begun
    return replace(usual, ready_fields={"compiling": False}, ready_log=f" {COMPILER}.choose_faster: sinusoid: ")


def png(rng: np.random.Generator) -> str:
    """A drawing, dark on light."""
    file = io.BytesIO()
    Image.fromarray(np.where(rng.random((28, 28)) < 0.2, 0, 255).astype(np.uint8)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def adapt_bodies(name: str) -> list[bytes]:
    """Bodies of POST /adapt."""
    if name == "sinusoid":
        return supports(SUPPORT_SETS)
    rng = np.random.default_rng(0)
    return [orjson.dumps({"model": name, "support": support_set(name, rng)}) for _ in range(SUPPORT_SETS)]


def support_set(name: str, rng: np.random.Generator) -> dict[str, Any]:
    """A support set of drawings or of episodes."""
    if name == "omniglot":
        return {"inputs": [png(rng) for _ in range(5)], "targets": list("abcde")}
    observations, actions = (rng.normal(0, 0.1, (20, 20, 2)).round(4).tolist() for _ in range(2))
    rewards = (-np.abs(rng.normal(size=(20, 20)))).round(4).tolist()
    keys, episodes = ("observations", "actions", "rewards"), zip(observations, actions, rewards, strict=True)
    return {"episodes": [dict(zip(keys, episode, strict=True)) for episode in episodes]}


def query(name: str, rng: np.random.Generator) -> Any:
    """One query."""
    if name == "omniglot":
        return png(rng)
    return rng.uniform(-0.5, 0.5, {"sinusoid": 1, "navigation": 2}[name]).round(4).tolist()


def predict_bodies(name: str, server: Server) -> list[bytes]:
    """Bodies of POST /predict, for adaptations that the server makes for them."""
    rng = np.random.default_rng(1)
    ids = adapt_all(server, adapt_bodies(name))
    return [orjson.dumps({"adaptation_id": each, "queries": [query(name, rng)]}) for each in ids]


PATHS: Mapping[str, Callable[[str, Server], list[bytes]]] = {
    "/adapt": lambda name, server: adapt_bodies(name),
    "/predict": predict_bodies,
}
"""The bodies for each path: (name of a bundle, server) -> those that the server is sent in turn."""


def memory_mib() -> int | None:
    """The memory in use on the card, by all processes; None where there is no card."""
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0])


Keep = Callable[[list[dict[str, Any]], dict[str, Any]], None]
"""Takes the rows so far, and further fields of the result."""


def measure(devices: list[str], folder: Path, connections: int, rounds: int, seconds: float, keep: Keep) -> None:
    """Measure all bundles and paths; keep the result after each bundle."""
    rows: list[dict[str, Any]] = []
    memory = {"before": memory_mib()}
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(plan(device, folder), folder)) for device in devices]
        for server in servers:
            server.process.suspend()
        memory["ready"] = memory_mib()
        for name in MODELS:
            for path, bodies in PATHS.items():
                contenders = []
                for server in servers:
                    with server.awake():
                        contenders.append(warm_up(server, path, partial(bodies, name), folder))
                results: dict[str, list[Round]] = {}
                for _ in range(rounds):
                    for contender in contenders:
                        results.setdefault(contender.server.name, []).append(contender.load(connections, seconds))
                for server in servers:
                    rows.append({"model": name, "path": path} | row(server.name, connections, results[server.name]))
                    print(rows[-1], file=sys.stderr, flush=True)
            memory["after"] = memory_mib()
            logs = {server.name: compiler_log(folder / f"{server.name}.log") for server in servers}
            keep(rows, {"memory_mib": memory, "logs": logs})


def compiler_log(file: Path) -> list[str]:
    """The messages in a server's log about its compiled code, and all warnings."""
    lines = file.read_text().splitlines()
    return [line.partition(": ")[2] for line in lines if f" INFO {COMPILER}." in line or " WARNING " in line]


def main(
    device: Annotated[list[str] | None, typer.Option(help="A device to measure; by default cuda and cpu.")] = None,
    connections: Annotated[int, typer.Option(min=1, help="Connections of the load.")] = 64,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds for each server; the best counts.")] = 3,
    seconds: Annotated[float, typer.Option(min=1, help="Seconds of a round for each server.")] = 3,
    keep: Annotated[bool, typer.Option(help="Write the results.")] = True,
) -> None:
    """Measure, and write the results."""
    devices = device or ["cuda", "cpu"]
    cards = [describe(choose_device(each)) for each in devices if each != "cpu"]
    protocol = f"best of {rounds} rounds of {seconds:g} s each, load by wrk"
    hardware = "; ".join([*cards, str(cores())])

    def keep_result(rows: list[dict[str, Any]], more: dict[str, Any]) -> None:
        write("devices_http", QUESTION, rows, keep=keep, hardware=hardware, protocol=protocol, **more)

    with tempfile.TemporaryDirectory() as folder:
        measure(devices, Path(folder), connections, rounds, seconds, keep_result)


if __name__ == "__main__":
    typer.run(main)
