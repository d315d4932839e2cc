"""Servers to measure: each in processes of its own on one core, asleep while another is measured.

Asleep means SIGSTOP, so that the background work of the one takes nothing from the other. The load comes from another
core, where the machine has two.
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

from app.settings import Settings
from service_tests.benchmarks.report import processor
from service_tests.processes import ROOT, free_port, wait_until

RAY, LITSERVE = "Ray Serve", "LitServe"
PATIENT_RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # else it takes its own parts for dead when all of them have slept
    "RAY_health_check_initial_delay_ms": "3600000",
    "RAY_health_check_period_ms": "3600000",
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "3600",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "3600",
    "RAY_SERVE_PROXY_HEALTH_CHECK_UNHEALTHY_THRESHOLD": "1000",
}


class Cores(NamedTuple):
    """The cores that servers and load run on."""

    server: int
    load: int

    def __str__(self) -> str:
        return f"server on core {self.server}, load on core {self.load} of {processor()}"


@cache
def cores() -> Cores:
    """The last and the first core that this process may use: the first is where interrupts go by default."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) == 1:
        print("only one core: server and load share it, so every figure is too low", file=sys.stderr)
    return Cores(server=allowed[-1], load=allowed[0])


@contextmanager
def on(core: int) -> Iterator[None]:
    """Stay on that core, this thread and the processes that it starts here."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True)
class Plan:
    """How a server is started.

    words: the command, with PORT where its port belongs
    waits_for: what GET /health/ready has to answer; nothing where it has no such path
    says: what its log has to say by then
    """

    name: str
    words: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    waits_for: Mapping[str, object] = field(default_factory=dict)
    says: str = ""


def innerloop(name: str, state: Path, **settings: object) -> Plan:
    """Our server with these settings, once it has compiled; what it compiled is kept between runs."""
    said = {"state_dir": state, "cache_dir": ROOT / "state/cache", "log_level": "warning"} | settings
    environment = {f"INNERLOOP_{key.upper()}": str(value) for key, value in said.items()}
    words = [sys.executable, "-m", "app.cli", "serve", "--port", "PORT"]
    return Plan(name, words, environment, {"compiled": True, "compiling": False})


def stores(folder: Path, **settings: object) -> list[Plan]:
    """Our server with each way of keeping adaptations that it has, the default first."""
    ways: dict[str, dict[str, object]] = {
        "Innerloop": {"store": "sqlite", "durability": "fsync"},
        "Innerloop, durability process": {"store": "sqlite", "durability": "process"},
        "Innerloop, store memory": {"store": "memory"},
    }
    has = {name: said for name, said in ways.items() if said.keys() <= Settings.model_fields.keys()}
    return [
        innerloop(name, folder / f"state-{index}", **said, **settings)
        for index, (name, said) in enumerate((has or {"Innerloop, store memory": {}}).items())
    ]


def rival(name: str, module: str, *words: str, needs: str = "fastapi", says: str = "") -> list[Plan]:
    """A server of `rivals/`; none, with a word about it, where its package is not installed."""
    if find_spec(needs) is None:
        print(f"{name} is left out: {needs} is not installed (make bench does)", file=sys.stderr)
        return []
    command = [sys.executable, "-m", f"service_tests.benchmarks.rivals.{module}", "PORT", *words]
    return [Plan(name, command, says=says)]


def frameworks(path: str) -> list[Plan]:
    """The obvious code in Ray Serve and in LitServe, which serves but one path."""
    return [
        *(
            replace(each, environment=PATIENT_RAY)
            for each in rival(RAY, "ray_service", needs="ray", says="is ready at")
        ),
        *rival(LITSERVE, "litserve_service", path, needs="litserve"),
    ]


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    name: str
    port: int
    process: psutil.Popen

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def processes(self) -> list[psutil.Process]:
        """All of its processes, parents first."""
        return [self.process, *self.process.children(recursive=True)]

    @property
    def resident_bytes(self) -> int:
        """Memory that its first process holds."""
        return int(self.process.memory_info().rss)

    @property
    def cpu_s(self) -> float:
        """Processor time that its processes have taken, with those that have ended."""
        return float(sum(sum(each.cpu_times()[:4]) for each in self.processes))

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Let it run; asleep again, once it has nothing left to do, afterwards."""
        for each in self.processes:
            each.resume()
        try:
            yield
            self.settle()
        finally:
            for each in self.processes:
                each.suspend()

    def settle(self) -> None:
        """Wait until it works no more, for at most a minute: a load that ends leaves requests behind."""
        deadline, before = time.monotonic() + 60, -1.0
        # idle is under a quarter of a core: Ray's processes are never still
        while (now := self.cpu_s) - before > 0.05 and time.monotonic() < deadline:
            before = now
            time.sleep(0.2)


@contextmanager
def serving(plan: Plan, folder: Path) -> Iterator[Server]:
    """Start a server and wait until it is ready; its log stands in `folder`."""
    port = free_port()
    log = folder / f"{plan.name}.log"
    words = [str(port) if word == "PORT" else word for word in plan.words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **plan.environment}
    with log.open("w") as output, on(cores().server):
        process = psutil.Popen(words, cwd=ROOT, env=environment, stdout=output, stderr=output)
    server = Server(plan.name, port, process)
    try:
        wait_until(lambda: _ready(server, plan, log), f"{plan.name} is not ready: see {log}")
        yield server
    finally:
        end(server)


def _ready(server: Server, plan: Plan, log: Path) -> bool:
    assert server.process.poll() is None, f"{plan.name} has ended: {log.read_text()[-2000:]}"
    if plan.says not in log.read_text():
        return False
    try:
        answer = httpx.get(f"{server.url}/health/ready")
    except httpx.TransportError:
        return False
    if not plan.waits_for:
        return answer.status_code < 500
    return answer.is_success and plan.waits_for.items() <= answer.json().items()


def end(server: Server) -> None:
    """End all processes of a server: by asking the first, then, of those that are left, each."""
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
