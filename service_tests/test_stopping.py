"""Servers that start and stop: bounded in time, with exit code 0 and without a traceback.

`python -m service_tests.test_stopping 60` stops a server at 60 random moments: while it starts, compiles or serves,
cold and warm, under load, with half a body, an unread answer or an open event stream.
"""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from service_tests import forked
from service_tests.forked import Forked
from service_tests.processes import MAML, ROOT, command, free_port, ready, starting, starting_fork, wait_until

SERVE = [command("innerloop"), "serve"]
HALF = b"POST /adapt HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
LIST = b"GET /models HTTP/1.1\r\nHost: x\r\n\r\n"


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as connection:
        yield connection


@pytest.mark.parametrize(("start", "number"), [(starting, signal.SIGTERM), (starting_fork, signal.SIGINT)])
def test_a_signal_ends_the_server_well(
    tmp_path: Path,
    start: Callable[..., AbstractContextManager[tuple[str, subprocess.Popen[bytes] | Forked]]],
    number: signal.Signals,
) -> None:
    with start(SERVE, tmp_path / "log", compile=False, state_dir=tmp_path) as (_, process):
        os.kill(process.pid, number)
        assert process.wait(15) == 0
    assert "stopped" in (tmp_path / "log").read_text()
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_half_a_body_and_an_unread_answer_do_not_hold_it_up(tmp_path: Path) -> None:
    with (
        starting_fork(SERVE, tmp_path / "log", compile=False, state_dir=tmp_path, shutdown_s=5) as (url, process),
        connected(url) as sending,
        connected(url) as deaf,
    ):
        sending.sendall(HALF)
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(1)
        for _ in range(200):
            try:
                deaf.sendall(LIST)
            except TimeoutError:
                break
        httpx.get(f"{url}/health/live").raise_for_status()
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(8) in (0, 1)
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("sent", [b"", LIST, HALF])
def test_without_time_to_stop_only_a_request_that_is_dropped_is_an_error(tmp_path: Path, sent: bytes) -> None:
    settings = {"compile": False, "state_dir": tmp_path, "models_dir": tmp_path / "models", "shutdown_s": 0}
    (tmp_path / "models").mkdir()
    (tmp_path / "models/sinusoid").symlink_to(MAML)  # alone: the server starts in half the time
    with starting_fork(SERVE, tmp_path / "log", **settings) as (url, process), connected(url) as connection:
        connection.sendall(sent)
        if sent == LIST:
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        httpx.get(f"{url}/health/live").raise_for_status()
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(5) == (1 if sent == HALF else 0)
    log = (tmp_path / "log").read_text()
    assert ("ERROR" in log) == ("dropped requests" in log) == (sent == HALF)
    assert "Traceback" not in log


def test_a_signal_while_it_starts_ends_it(tmp_path: Path) -> None:
    log, settings = tmp_path / "log", {"INNERLOOP_STATE_DIR": str(tmp_path), "INNERLOOP_PORT": str(free_port())}
    with (
        log.open("w") as output,
        subprocess.Popen(SERVE, cwd=ROOT, env=os.environ | settings, stderr=output) as process,
    ):
        wait_until(lambda: "serving" in log.read_text() or process.poll() is not None, "it does not start", 60)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(15) == 0, log.read_text()
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize(
    ("words", "number", "code"),
    [
        (["serve"], signal.SIGINT, 0),
        (["serve"], signal.SIGTERM, 0),
        (["models"], signal.SIGINT, 130),
    ],
)
def test_a_signal_while_torch_is_imported_ends_the_command(words: list[str], number: signal.Signals, code: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "app.cli", *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        maps = Path(f"/proc/{process.pid}/maps")
        wait_until(lambda: "libtorch" in maps.read_text() or process.poll() is not None, "it does not import", 60)
        process.send_signal(number)
        assert process.wait(15) == code
        assert process.stdout is not None
        assert process.stdout.read() == b""


WITHOUT_OVERRIDE = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
"""Before a command: root may then no more than what the modes of files allow."""


def start_in_vain(*before: str, **settings: object) -> str:
    """Start a server that cannot start; what it prints. before: words before the command"""
    variables = {f"INNERLOOP_{name.upper()}": str(value) for name, value in settings.items()}
    environment = os.environ | variables
    if before:
        words = [*before, *SERVE]
        ended = subprocess.run(
            words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    else:
        ended = forked.run(SERVE, env=environment, timeout=60)
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr.splitlines()[-1]


def test_what_is_in_the_way_of_a_start_is_one_line(tmp_path: Path) -> None:
    with starting_fork(SERVE, tmp_path / "log", compile=False, state_dir=tmp_path) as (url, _):
        port = url.rpartition(":")[2]
        assert start_in_vain(port=port).startswith(
            f'127.0.0.1:{port}: expected an address to listen on, got "Address already in use": stop '
        )
        assert "Another server uses the folder" in start_in_vain(port=0, state_dir=tmp_path, compile=False)
    (tmp_path / "file").touch()
    assert start_in_vain(port=0, compile=False, state_dir=tmp_path / "file").startswith(f"{tmp_path / 'file'}: ")
    assert start_in_vain(host="192.0.2.1").startswith(
        '192.0.2.1:8000: expected an address to listen on, got "Cannot assign'
    )


def test_a_state_folder_of_another_user_is_one_line(tmp_path: Path) -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("making a folder of another user needs root, and setpriv")
    (tmp_path / "models").mkdir()
    for folder in (tmp_path / "state", tmp_path / "state/inner"):
        folder.mkdir(mode=0o700)
        os.chown(folder, 54321, 54321)
    (tmp_path / "state/adaptations.sqlite").touch()
    for state in (tmp_path / "state", tmp_path / "state/inner"):
        line = start_in_vain(*WITHOUT_OVERRIDE, port=0, compile=False, models_dir=tmp_path / "models", state_dir=state)
        assert line == (
            f'{state}: expected a folder that the server may write to, got "Permission denied": {tmp_path / "state"} '
            "belongs to user 54321, and the server runs as user root (0), so give the folder to the user of the server "
            "with chown, or set INNERLOOP_STATE_DIR to a folder that the server may write to"
        )


def test_requests_that_wait_behind_another_one_are_not_begun(tmp_path: Path) -> None:
    with starting_fork(SERVE, tmp_path / "log", compile=False, state_dir=tmp_path, shutdown_s=5) as (
        url,
        process,
    ):
        connections = load(url, "load")
        os.kill(process.pid, signal.SIGTERM)
        answers = [received(connection).count(b"HTTP/1.1 201") for connection in connections]
        assert process.wait(15) == 0
        assert sum(answers) < 8 * 50
    assert "Traceback" not in (tmp_path / "log").read_text()


def received(connection: socket.socket) -> bytes:
    """All that a connection receives until the server closes it."""
    data = b""
    with connection, suppress(ConnectionError):
        connection.settimeout(15)
        while part := connection.recv(100_000):
            data += part
    return data


def load(url: str, kind: str) -> list[socket.socket]:
    """Connections that are busy with the server in some way."""
    host, port = "127.0.0.1", int(url.rpartition(":")[2])
    connections = [socket.create_connection((host, port)) for _ in range(8)]
    for connection in connections:
        connection.settimeout(0.2)
        with suppress(TimeoutError, ConnectionError):
            match kind:
                case "half bodies":
                    connection.sendall(HALF)
                case "unread answers":
                    for _ in range(200):
                        connection.sendall(LIST)
                case "event streams":
                    connection.sendall(adapt_bytes(steps=50, accept="text/event-stream"))
                case "load":
                    connection.sendall(adapt_bytes(steps=5) * 50)
    return connections


def adapt_bytes(steps: int, accept: str = "application/json") -> bytes:
    """POST /adapt as it goes over the wire."""
    inputs = [[index / 100] for index in range(500)]
    support = {"inputs": inputs, "targets": [each[0] for each in inputs]}
    body = json.dumps({"model": "sinusoid", "support": support, "steps": steps}).encode()
    head = f"POST /adapt HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAccept: {accept}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def stop_at_random(generator: random.Random, folder: Path) -> tuple[str, int, float]:
    """Start and stop a server once: what it was busy with, its exit code, and the seconds until it had ended."""
    port, log = free_port(), folder / "log"
    settings = {
        "port": port,
        "state_dir": folder / generator.choice(["warm", str(generator.random())]),
        "shutdown_s": 10,
    }
    settings["compile"] = generator.random() < 0.7
    environment = os.environ | {f"INNERLOOP_{name.upper()}": str(value) for name, value in settings.items()}
    kind = generator.choice(["nothing", "starting", "half bodies", "unread answers", "event streams", "load"])
    with log.open("w") as output, subprocess.Popen(SERVE, cwd=ROOT, env=environment, stderr=output) as process:
        connections = []
        if kind == "starting":
            time.sleep(generator.uniform(0, 12))
        else:
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: process.poll() is not None or ready(url), "it does not start", 120)
            connections = load(url, kind)
            time.sleep(generator.uniform(0, 10))
        started = time.monotonic()
        process.send_signal(generator.choice([signal.SIGTERM, signal.SIGINT]))
        code = process.wait(60)
        seconds = time.monotonic() - started
        for connection in connections:
            connection.close()
    trace = " with a traceback" if "Traceback" in log.read_text() else ""
    return f"{kind}, {'compiling' if settings['compile'] else 'eager'}{trace}", code, seconds


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        outcomes = []
        for number in range(int(sys.argv[1])):
            outcomes.append(stop_at_random(random.Random(number), Path(name)))
            print(number, *outcomes[-1], flush=True)  # noqa: T201
        print(Counter(code for _, code, _ in outcomes), max(seconds for *_, seconds in outcomes))  # noqa: T201
