"""Servers that start and stop: bounded in time, with exit code 0 and without a traceback."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from service_tests.processes import ROOT, command, free_port, starting, wait_until

SERVE = [command("innerloop"), "serve"]
HALF = b"POST /adapt HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
LIST = b"GET /models HTTP/1.1\r\nHost: x\r\n\r\n"


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as connection:
        yield connection


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_well(tmp_path: Path, number: signal.Signals) -> None:
    with starting(SERVE, tmp_path / "log", compile=False, state_dir=tmp_path) as (_, process):
        os.kill(process.pid, number)
        assert process.wait(15) == 0
    assert "stopped" in (tmp_path / "log").read_text()
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_half_a_body_and_an_unread_answer_do_not_hold_it_up(tmp_path: Path) -> None:
    with (
        starting(SERVE, tmp_path / "log", compile=False, state_dir=tmp_path, shutdown_s=5) as (url, process),
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


def test_a_signal_while_it_starts_ends_it(tmp_path: Path) -> None:
    log, settings = tmp_path / "log", {"INNERLOOP_STATE_DIR": str(tmp_path), "INNERLOOP_PORT": str(free_port())}
    with (
        log.open("w") as output,
        subprocess.Popen(SERVE, cwd=ROOT, env=os.environ | settings, stderr=output) as process,
    ):
        wait_until(lambda: "serving" in log.read_text() or process.poll() is not None, "it does not start", 60)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(15) == 0
    assert "Traceback" not in log.read_text()


def start_in_vain(**settings: object) -> str:
    """Start a server that cannot start; what it prints."""
    variables = {f"INNERLOOP_{name.upper()}": str(value) for name, value in settings.items()}
    ended = subprocess.run(
        SERVE, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr.splitlines()[-1]


def test_what_is_in_the_way_of_a_start_is_one_line(tmp_path: Path) -> None:
    with starting(SERVE, tmp_path / "log", compile=False, state_dir=tmp_path) as (url, _):
        port = url.rpartition(":")[2]
        assert start_in_vain(port=port).startswith(f"cannot listen on 127.0.0.1:{port}: Address already in use: ")
        assert "another server uses it" in start_in_vain(port=0, state_dir=tmp_path, compile=False)
    (tmp_path / "file").touch()
    assert start_in_vain(port=0, compile=False, state_dir=tmp_path / "file").startswith(f"{tmp_path / 'file'}: ")
    assert start_in_vain(host="192.0.2.1").startswith("cannot listen on 192.0.2.1:8000: Cannot assign")
