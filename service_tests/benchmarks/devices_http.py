"""How many requests a second does the server answer on a GPU, beside the CPU of the same machine?

POST /adapt and POST /predict of the bundles `sinusoid` (10 examples, 5 steps), `omniglot` (5 classes of one drawing
each, as PNGs) and `navigation` (20 episodes of 20 decisions with their rewards), JSON, through 64 connections. A
prediction is of one query by an adaptation. One server computes on the GPU, the other on one thread of the CPU; each
has a core, and the load another. `comparison` says how rounds are run and figures chosen.

The result also keeps what each server said of its compiled code when it started, and how much memory of the card was in
use before, when the server was ready, and after all of the load.
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
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import orjson
import typer
from PIL import Image

from app.device import choose_device, describe
from service_tests.benchmarks.bodies import adapted, supports
from service_tests.benchmarks.comparison import Prepare, Round, row, warmed
from service_tests.benchmarks.report import write
from service_tests.benchmarks.servers import Plan, Server, cores, innerloop, serving
from service_tests.processes import ROOT

MODELS = ("sinusoid", "omniglot", "navigation")
QUESTION = "POST /adapt and POST /predict on a GPU and on the CPU of the same machine, requests a second"
DIFFERENT = 64
"""Support sets of a bundle."""


def plan(device: str, folder: Path) -> Plan:
    """Our server on a device, once it has compiled what it can."""
    models = folder / "models"
    for name in MODELS:
        shutil.copytree(ROOT / "models" / name, models / name, dirs_exist_ok=True)
    settings = {"device": device, "models_dir": models, "log_level": "info"}
    started = innerloop(f"Innerloop on {device}", folder / f"state-{device}", **settings)
    # whether the compiled code serves is for the server to find out; its log says so, of sinusoid too
    return replace(started, waits_for={"compiling": False}, says=" sinusoid: ")


def png(drawn: np.random.Generator) -> str:
    """A drawing, dark on light."""
    file = io.BytesIO()
    Image.fromarray(np.where(drawn.random((28, 28)) < 0.2, 0, 255).astype(np.uint8)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def bodies_for(name: str) -> list[bytes]:
    """Bodies of POST /adapt."""
    if name == "sinusoid":
        return supports(DIFFERENT)
    drawn = np.random.default_rng(0)
    return [orjson.dumps({"model": name, "support": support_for(name, drawn)}) for _ in range(DIFFERENT)]


def support_for(name: str, drawn: np.random.Generator) -> dict[str, Any]:
    """A support set of drawings or of episodes."""
    if name == "omniglot":
        return {"inputs": [png(drawn) for _ in range(5)], "targets": list("abcde")}
    places, moves = (drawn.normal(0, 0.1, (20, 20, 2)).round(4).tolist() for _ in range(2))
    rewards = (-np.abs(drawn.normal(size=(20, 20)))).round(4).tolist()
    parts = zip(places, moves, rewards, strict=True)
    return {"episodes": [{"observations": at, "actions": by, "rewards": of} for at, by, of in parts]}


def query_for(name: str, drawn: np.random.Generator) -> Any:
    """One query."""
    if name == "omniglot":
        return png(drawn)
    return drawn.uniform(-0.5, 0.5, {"sinusoid": 1, "navigation": 2}[name]).round(4).tolist()


def asked_of(server: Server, name: str) -> list[bytes]:
    """Bodies of POST /predict by adaptations that the server makes for it."""
    drawn = np.random.default_rng(1)
    ids = adapted(server, bodies_for(name))
    return [orjson.dumps({"adaptation_id": each, "queries": [query_for(name, drawn)]}) for each in ids]


PATHS: Mapping[str, Callable[[Server, str], list[bytes]]] = {
    "/adapt": lambda server, name: bodies_for(name),
    "/predict": asked_of,
}


def preparing(prepare: Callable[[Server, str], list[bytes]], name: str) -> Prepare:
    """What makes the bodies of a bundle for a server."""
    return lambda server: prepare(server, name)


def memory_mib() -> int | None:
    """What is in use on the card, by all processes; None where there is no card."""
    if shutil.which("nvidia-smi") is None:
        return None
    words = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[0])


Keep = Callable[[list[dict[str, Any]], dict[str, Any]], None]
"""Takes the rows so far, and what the servers said and took."""


def measure(devices: list[str], folder: Path, connections: int, rounds: int, seconds: float, keep: Keep) -> None:
    """Measure all, and keep it again and again: after each bundle."""
    rows: list[dict[str, Any]] = []
    memory = {"before": memory_mib()}
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(plan(device, folder), folder)) for device in devices]
        for server in servers:
            server.process.suspend()
        memory["ready"] = memory_mib()
        for name in MODELS:
            for path, prepare in PATHS.items():
                contenders = []
                for server in servers:
                    with server.awake():
                        contenders.append(warmed(server, path, preparing(prepare, name), folder))
                found: dict[str, list[Round]] = {}
                for _ in range(rounds):
                    for one in contenders:
                        found.setdefault(one.server.name, []).append(one.loaded(connections, seconds))
                for server in servers:
                    rows.append({"model": name, "path": path} | row(server.name, connections, found[server.name]))
                    print(rows[-1], file=sys.stderr, flush=True)
            memory["after"] = memory_mib()
            said = {each.name: log_of(folder / f"{each.name}.log") for each in servers}
            keep(rows, {"memory_mib": memory, "said": said})


def log_of(file: Path) -> list[str]:
    """What a server said of its compiled code, or of anything that went wrong."""
    lines = file.read_text().splitlines()
    return [line.partition(": ")[2] for line in lines if " INFO app.service.model: " in line or " WARNING " in line]


def main(
    device: Annotated[list[str] | None, typer.Option(help="Those to measure; cuda and cpu.")] = None,
    connections: Annotated[int, typer.Option(min=1)] = 64,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    seconds: Annotated[float, typer.Option(min=1, help="A round, a server.")] = 3,
    keep: Annotated[bool, typer.Option(help="Write the results.")] = True,
) -> None:
    """Measure and write."""
    devices = device or ["cuda", "cpu"]
    cards = [describe(choose_device(each)) for each in devices if each != "cpu"]
    protocol = f"best of {rounds} rounds of {seconds:g} s each, load by wrk"
    hardware = "; ".join([*cards, str(cores())])

    def kept(rows: list[dict[str, Any]], more: dict[str, Any]) -> None:
        write("devices_http", QUESTION, rows, keep=keep, hardware=hardware, protocol=protocol, **more)

    with tempfile.TemporaryDirectory() as folder:
        measure(devices, Path(folder), connections, rounds, seconds, kept)


if __name__ == "__main__":
    typer.run(main)
