"""Servers to measure: each in processes of its own on one core, asleep while another is measured.

Asleep means SIGSTOP, so that the background work of one server takes nothing from another. The load comes from another
core, if the machine has two.
"""

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil

from service_tests.benchmarks.report import PROCESSOR
from service_tests.processes import MAML, ROOT, free_port, wait_until

COMPILE_S = 1200
"""The most seconds until a server is ready; one that has nothing cached compiles all of its bundles first."""
RAY, LITSERVE = "Ray Serve", "LitServe"
PATIENT_RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # otherwise it takes its own processes for dead after all of them have slept
    "RAY_health_check_initial_delay_ms": "3600000",
    "RAY_health_check_period_ms": "3600000",
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "3600",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "3600",
    "RAY_SERVE_PROXY_HEALTH_CHECK_UNHEALTHY_THRESHOLD": "1000",
}


class Cores(NamedTuple):
    """The cores of the servers and of the load."""

    server: int
    load: int

    def __str__(self) -> str:
        return f"server on core {self.server}, load on core {self.load} of {PROCESSOR}"


@cache
def cores() -> Cores:
    """The last core that this process may use, and the first, where interrupts go by default."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) == 1:
        print("only one core: server and load share it, so every figure is too low", file=sys.stderr)
    return Cores(server=allowed[-1], load=allowed[0])


@contextmanager
def on(core: int) -> Iterator[None]:
    """Keep this thread, and the processes that it starts in the meantime, on that core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True)
class Plan:
    """How a server is started.

    command: with PORT in the place of the port
    ready_fields: fields of the response to GET /health/ready by which it is ready; empty if it has no such path
    ready_log: text that its log contains by then
    folder: the working directory
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_fields: Mapping[str, object] = field(default_factory=dict)
    ready_log: str = ""
    folder: Path = ROOT


def innerloop(name: str, state: Path, folder: Path = ROOT, /, **settings: object) -> Plan:
    """Innerloop with these settings, ready once it has compiled. Compiled code is kept between runs.

    It serves MAML's sinusoid alone, unless the settings name another models folder.

    folder: a checkout of this project, whose code serves
    """
    usual = {"models_dir": MAML.parent, "state_dir": state, "cache_dir": folder / "state/cache"}
    settings = {**usual, "log_level": "warning"} | settings
    environment = {f"INNERLOOP_{key.upper()}": str(value) for key, value in settings.items()}
    environment["PYTHONPATH"] = str(folder)
    command = [sys.executable, "-m", "app.cli", "serve", "--port", "PORT"]
    return Plan(name, command, environment, {"compiled": True, "compiling": False}, folder=folder)


def stores(folder: Path, **settings: object) -> list[Plan]:
    """Innerloop with each store that needs no other server, the default first. Each keeps its state in `folder`."""
    stores: dict[str, dict[str, object]] = {
        "Innerloop": {"store": "sqlite", "durability": "fsync"},
        "Innerloop, durability process": {"store": "sqlite", "durability": "process"},
        "Innerloop, store memory": {"store": "memory"},
    }
    return [
        innerloop(name, folder / f"state-{index}", **store, **settings)
        for index, (name, store) in enumerate(stores.items())
    ]


def rival(name: str, module: str, *arguments: str, package: str = "fastapi", ready_log: str = "") -> list[Plan]:
    """A server of `rivals/`; an empty list, with a message, if the package that it needs is not installed."""
    if find_spec(package) is None:
        print(f"{name} is left out: {package} is not installed (make bench does)", file=sys.stderr)
        return []
    command = [sys.executable, "-m", f"service_tests.benchmarks.rivals.{module}", "PORT", *arguments]
    return [Plan(name, command, ready_log=ready_log)]


def frameworks(path: str) -> list[Plan]:
    """The obvious code in Ray Serve, and in LitServe, which serves a single path."""
    return [
        *(
            replace(each, environment=PATIENT_RAY)
            for each in rival(RAY, "ray_service", package="ray", ready_log="is ready at")
        ),
        *rival(LITSERVE, "litserve_service", path, package="litserve"),
    ]


@dataclass(frozen=True)
class Server:
    """A running server."""

    name: str
    port: int
    process: psutil.Popen

    @property
    def url(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def processes(self) -> list[psutil.Process]:
        """All of its processes, parents first."""
        return [self.process, *self.process.children(recursive=True)]

    @property
    def resident_bytes(self) -> int:
        """Resident memory of its first process."""
        return int(self.process.memory_info().rss)

    @property
    def cpu_s(self) -> float:
        """Processor time of its processes, including those that have ended."""
        return float(sum(sum(each.cpu_times()[:4]) for each in self.processes))

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Let it run, then wait until it has nothing left to do, and put it to sleep again."""
        for each in self.processes:
            each.resume()
        try:
            yield
            self.settle()
        finally:
            for each in self.processes:
                each.suspend()

    def settle(self) -> None:
        """Wait until it is idle, for at most a minute: a load that ends leaves requests behind."""
        deadline, before = time.monotonic() + 60, -1.0
        # idle is under a quarter of a core: Ray's processes are never still
        while (now := self.cpu_s) - before > 0.05 and time.monotonic() < deadline:
            before = now
            time.sleep(0.2)


@contextmanager
def serving(plan: Plan, folder: Path) -> Iterator[Server]:
    """Start a server and wait until it is ready. Its log is written into `folder`."""
    port = free_port()
    log = folder / f"{plan.name}.log"
    command = [str(port) if word == "PORT" else word for word in plan.command]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **plan.environment}
    with log.open("w") as output, on(cores().server):
        process = psutil.Popen(command, cwd=plan.folder, env=environment, stdout=output, stderr=output)
    server = Server(plan.name, port, process)
    try:
        wait_until(lambda: _ready(server, plan, log), f"{plan.name} is not ready: see {log}", COMPILE_S)
        yield server
    finally:
        end(server)


def _ready(server: Server, plan: Plan, log: Path) -> bool:
    assert server.process.poll() is None, f"{plan.name} has ended: {log.read_text()[-2000:]}"
    if plan.ready_log not in log.read_text():
        return False
    try:
        answer = httpx.get(f"{server.url}/health/ready")
    except httpx.TransportError:
        return False
    if not plan.ready_fields:
        return answer.status_code < 500
    return answer.is_success and plan.ready_fields.items() <= answer.json().items()


def end(server: Server) -> None:
    """End all processes of a server: terminate the first, then kill those that are left."""
    if server.process.poll() is not None:
        return
    processes = server.processes
    for each in reversed(processes):
        each.resume()
    server.process.terminate()
    _, left = psutil.wait_procs(processes, timeout=20)
    for each in left:
        each.kill()
    psutil.wait_procs(left, timeout=5)
