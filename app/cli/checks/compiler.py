"""Whether models can be compiled: a tiny function is, as the server does it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import torch

from app.cli.checks.finding import Finding
from app.errors import cause_text
from app.settings import Settings

PART = "compiler"
LIMIT_S = 120.0
"""A compiler that takes longer counts as broken."""
GXX = "install g++ (Debian and Ubuntu: apt install g++; Fedora: dnf install gcc-c++; macOS: xcode-select --install)"
HEADERS = "install Python's headers (Debian and Ubuntu: apt install python3-dev; Fedora: dnf install python3-devel)"
OTHERWISE = "or set INNERLOOP_COMPILE to false. Until then the inner loop runs uncompiled, which is slower"


def check(settings: Settings, device: torch.device) -> Finding:
    """Compile in a process of its own, with a cache of its own that is removed afterwards."""
    if not settings.compile:
        return Finding(PART, "ok", "not needed, because INNERLOOP_COMPILE is false")
    if device.type == "cpu" and shutil.which("g++") is None:
        return Finding(PART, "warning", f"g++ is not installed: {GXX}, {OTHERWISE}")
    try:
        temporary = tempfile.TemporaryDirectory(prefix="innerloop-doctor-", ignore_cleanup_errors=True)
    except OSError as error:
        text = f"nothing can be compiled without a folder for temporary files ({cause_text(error)})"
        return Finding(PART, "warning", f"{text}: set TMPDIR to a folder that can be written, {OTHERWISE}")
    with temporary as cache:
        output = _compile(device, Path(cache))
    if output is None:
        return Finding(PART, "ok", f"torch.compile works on {device}")
    if "Python.h" in output or not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        fix = HEADERS
    else:
        fix = GXX if "No such file" in output else "fix the cause in parentheses"
    return Finding(PART, "warning", f"torch.compile does not work ({_reason(output)}): {fix}, {OTHERWISE}")


def _compile(device: torch.device, cache: Path) -> str | None:
    """Run `compile_probe`. Returns what it prints if it fails; None if it succeeds."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "TORCHINDUCTOR_CACHE_DIR": str(cache),
        "TORCHINDUCTOR_COMPILE_THREADS": "1",  # no pool of processes for one function
    }
    with subprocess.Popen(  # noqa: S603 (of this command itself)
        [sys.executable, "-P", "-m", "app.cli.checks.compile_probe", str(device)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that the compiler ends with it
    ) as process:
        try:
            output, _ = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            return f"it takes longer than {LIMIT_S:g} s"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return None if process.returncode == 0 else output


def _reason(output: str) -> str:
    """The first error of the C++ compiler, or else the last error of Python."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for pattern, which in ((r"\berror: ", 0), (r"^[\w.]+(Error|Exception)\b", -1), ("", -1)):
        if found := [line for line in lines if re.search(pattern, line)]:
            return found[which]
    return "it ends without a message"
