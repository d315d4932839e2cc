"""Real processes for tests: the installed commands, and servers on loopback."""

import asyncio
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp

from service_tests import forked
from service_tests.forked import ROOT as ROOT
from service_tests.forked import Forked

SHIPPED = sorted(path.name for path in (ROOT / "models").iterdir())
"""The bundles that ship, by name."""
MAML = ROOT / "service_tests/models/sinusoid"
"""MAML's bundle of the family `sinusoid`: fast, with a rate that a request may choose."""
DATA = ROOT.parent / "shared/data"
"""Real data sets, a folder for each family. A test that reads one is skipped if it is missing."""


def command(name: str) -> str:
    """The path of a command that is installed beside this Python."""
    return str(Path(sys.executable).with_name(name))


def free_port() -> int:
    """A port that nothing listens on. It is none that the system gives to clients, so it stays free for a while."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_768)  # Linux gives clients those from 32768 on
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def starting(words: list[str], log: Path, **settings: object) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start a server by a command, with these INNERLOOP_* settings; its URL and process, once it is ready."""
    with _ready(subprocess.Popen, words, log, settings) as (url, process):
        yield url, process


@contextmanager
def starting_fork(words: list[str], log: Path, **settings: object) -> Iterator[tuple[str, Forked]]:
    """Start a server as `starting` does, in a process that has imported torch already (`service_tests.forked`)."""
    with _ready(forked.start, words, log, settings) as (url, process):
        yield url, process


@contextmanager
def _ready(
    start: Callable[..., Any], words: list[str], log: Path, settings: dict[str, object]
) -> Iterator[tuple[str, Any]]:
    port = free_port()
    environment = {f"INNERLOOP_{name.upper()}": str(value) for name, value in (settings | {"port": port}).items()}
    with log.open("w") as output, start(words, cwd=ROOT, env=os.environ | environment, stderr=output) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: process.poll() is not None or ready(url), f"{words} is not ready: see {log}")
            assert process.poll() is None, f"{words} has ended: {log.read_text()[-2000:]}"
            yield url, process
        finally:
            process.terminate()


@contextmanager
def running(words: list[str], log: Path, **settings: object) -> Iterator[str]:
    """Start a server by a command, as `starting` does; its URL, once it is ready."""
    with starting(words, log, **settings) as (url, _):
        yield url


class PromptServer(uvicorn.Server):
    """A server that looks a hundred times a second whether it is to end and whether it has; uvicorn's looks ten times.

    A test waits for that.
    """

    async def main_loop(self) -> None:
        while not await self.on_tick(0):
            await asyncio.sleep(0.01)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.connections or self.server_state.tasks:
            await asyncio.sleep(0.01)
        for server in self.servers:
            await server.wait_closed()
        await self.lifespan.shutdown()


@contextmanager
def serving_in_a_thread(app: ASGIApp) -> Iterator[str]:
    """Serve an application on loopback, on a thread of this process; its URL."""
    server = PromptServer(uvicorn.Config(app, port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive(), "it does not start", 30)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)


def disconnect(connection: socket.socket) -> None:
    """Disconnect a client, and wait until the server has noticed and has closed the connection too."""
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(30)
    while connection.recv(100_000):
        pass


def ready(url: str) -> bool:
    """Whether a server at this URL is ready."""
    try:
        return httpx.get(f"{url}/health/ready").is_success
    except httpx.TransportError:
        return False


def wait_until(condition: Callable[[], bool], message: str, seconds: float = 240) -> None:
    """Wait until a condition holds; fail with the message after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, message
        time.sleep(0.02)


def memory_mib(pid: int, name: str) -> float:
    """A line of the process's status, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024
