"""Real processes for tests: the installed commands, and a server of its own on loopback."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI

ROOT = Path(__file__).parent.parent
SHIPPED = sorted(path.name for path in (ROOT / "models").iterdir())
"""The bundles that ship, by name."""
DATA = ROOT.parent / "shared/data"
"""Where real data sets are, a folder a family; a test that reads one is skipped where it is not."""


def command(name: str) -> str:
    """The path of a command that is installed beside this Python."""
    return str(Path(sys.executable).with_name(name))


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def starting(words: list[str], log: Path, **settings: object) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a command that starts a server, with these INNERLOOP_* settings; its URL and process, once it is ready."""
    port = free_port()
    said = {f"INNERLOOP_{name.upper()}": str(value) for name, value in (settings | {"port": port}).items()}
    with log.open("w") as output, subprocess.Popen(words, cwd=ROOT, env=os.environ | said, stderr=output) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: process.poll() is not None or ready(url), f"{words} is not ready: see {log}")
            assert process.poll() is None, f"{words} has ended: {log.read_text()[-2000:]}"
            yield url, process
        finally:
            process.terminate()


@contextmanager
def running(words: list[str], log: Path, **settings: object) -> Iterator[str]:
    """The same, its URL only."""
    with starting(words, log, **settings) as (url, _):
        yield url


@contextmanager
def serving_in_a_thread(app: FastAPI) -> Iterator[str]:
    """Serve an application on loopback, on a thread of this process; its URL."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive(), "it does not start", 30)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)


def ready(url: str) -> bool:
    """Whether a server answers there that it is ready."""
    try:
        return httpx.get(f"{url}/health/ready").is_success
    except httpx.TransportError:
        return False


def wait_until(condition: object, otherwise: str, seconds: float = 240) -> None:
    """Ask a condition again and again until it holds."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)
