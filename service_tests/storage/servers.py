"""Redis servers for tests, in processes of their own."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service_tests.processes import wait_until


@contextmanager
def redis_server(folder: Path, port: int, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a redis server on loopback, with its files in that folder; it is ended by its process id."""
    binary = shutil.which("redis-server")
    assert binary, (
        "redis-server is not installed, and the redis store is tested against a real one: apt-get install redis-server"
    )
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "", *words]
    with (folder / "log").open("ab") as output, subprocess.Popen(command, stdout=output) as process:
        try:
            wait_until(lambda: answers(port), f"redis-server does not answer: see {folder / 'log'}", seconds=20)
            yield process
        finally:
            process.terminate()


def answers(port: int) -> bool:
    """Whether a redis server is ready on that port of loopback."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False
