"""Commands in processes of their own that start in a tenth of a second.

Importing torch takes most of the time of a short command. A process that has imported torch and the other libraries,
but nothing of `app`, forks for each command, and the fork runs it (`service_tests.forks`). What a test says of imports,
of memory or of compiled code, it has to say of a command that `subprocess` starts.
"""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Self

ROOT = Path(__file__).parent.parent
"""The repository."""


class Forked:
    """A running command. Its methods are those of `subprocess.Popen`."""

    def __init__(self, words: Sequence[str], cwd: Path, env: Mapping[str, str], stdout: int, stderr: int) -> None:
        self.args = words
        self.returncode: int | None = None
        report, writer = os.pipe()
        self._report = os.fdopen(report, "rb", buffering=0)
        request = {"words": [*words], "cwd": str(cwd), "env": dict(env)}
        socket.send_fds(_forking(), [json.dumps(request).encode()], [stdout, stderr, writer])
        os.close(writer)
        self.pid = int(self._report.readline())

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        if self.returncode is None and select.select([self._report], [], [], 0)[0]:
            self.returncode = int(self._report.readline())
            self._report.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended. Raises subprocess.TimeoutExpired after so many seconds."""
        if self.returncode is None:
            select.select([self._report], [], [], timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM, unless it has ended."""
        self.send_signal(signal.SIGTERM)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()


def start(
    words: Sequence[str],
    *,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    stdout: IO[bytes] | IO[str] | None = None,
    stderr: IO[bytes] | IO[str] | None = None,
) -> Forked:
    """Start a command, as `subprocess.Popen` does. words: an installed command or Python with -m, -c or a script"""
    files = (stdout or sys.__stdout__, stderr or sys.__stderr__)
    return Forked(words, cwd, os.environ if env is None else env, *(file.fileno() for file in files if file))


def run(
    words: Sequence[str], *, cwd: Path = ROOT, env: Mapping[str, str] | None = None, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, as `subprocess.run` does with `capture_output` and `text`."""
    with TemporaryFile() as out, TemporaryFile() as errors:
        with start(words, cwd=cwd, env=env, stdout=out, stderr=errors) as process:
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                raise
        texts = []
        for file in (out, errors):
            file.seek(0)
            texts.append(file.read().decode())
    return subprocess.CompletedProcess(list(words), code, *texts)


@cache
def _forking() -> socket.socket:
    """The connection to the process that forks. Both end with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    words = [sys.executable, "-m", "service_tests.forks", str(theirs.fileno())]
    process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
    theirs.close()

    @atexit.register
    def end() -> None:
        ours.close()
        process.wait()

    return ours
