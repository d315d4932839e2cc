"""Load by wrk: each connection posts the next body as soon as the last was answered."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from service_tests.benchmarks.servers import cores, on

SCRIPT = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True)
class Load:
    """The result of a load. errors: counts by sort.

    `status` counts responses that are not 2xx or 3xx; `refused`: the server accepted no connection at all.
    """

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    errors: dict[str, int]

    @property
    def requests_per_s(self) -> float:
        """Responses a second."""
        return self.requests / self.seconds

    @property
    def failed(self) -> dict[str, int]:
        """The errors that occurred, by sort."""
        return {sort: count for sort, count in self.errors.items() if count}

    def __str__(self) -> str:
        times = f"p50 {self.p50_ms:.2f} ms, p99 {self.p99_ms:.2f} ms, max {self.max_ms:.1f} ms"
        return f"{self.requests_per_s:.0f}/s, {times}{f', errors {self.failed}' if self.failed else ''}"


def load(url: str, bodies: Path, connections: int, seconds: float) -> Load:
    """Post the lines of a file, in turn, for so many seconds."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is needed: apt install wrk")
    duration = ["--threads", "1", "--duration", f"{max(1, round(seconds))}s", "--timeout", "60s"]
    command = ["wrk", *duration, "--connections", str(connections), "--script", str(SCRIPT), url, "--"]
    with on(cores().load):
        result = subprocess.run([*command, str(bodies)], capture_output=True, text=True, timeout=seconds + 90)
    if result.returncode:
        print(result.stderr, file=sys.stderr)
        return Load(0, seconds, 0, 0, 0, {"refused": connections})
    return Load(**json.loads(result.stdout.splitlines()[-1]))
