"""Load by wrk: so many connections, each posting the next body as soon as its last was answered."""

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
    """What came of a load. errors: how many of which sort; `status` are answers that are not 2xx or 3xx.

    `refused`: the server took no connection at all.
    """

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    errors: dict[str, int]

    @property
    def requests_per_s(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds

    @property
    def failed(self) -> dict[str, int]:
        """The errors that there were."""
        return {sort: count for sort, count in self.errors.items() if count}

    def __str__(self) -> str:
        times = f"p50 {self.p50_ms:.2f} ms, p99 {self.p99_ms:.2f} ms, max {self.max_ms:.1f} ms"
        return f"{self.requests_per_s:.0f}/s, {times}{f', errors {self.failed}' if self.failed else ''}"


def load(url: str, bodies: Path, connections: int, seconds: float) -> Load:
    """Post the lines of a file, in turn, for that long."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is needed: apt install wrk")
    threads_and_time = ["--threads", "1", "--duration", f"{max(1, round(seconds))}s", "--timeout", "60s"]
    words = ["wrk", *threads_and_time, "--connections", str(connections), "--script", str(SCRIPT), url, "--"]
    with on(cores().load):
        said = subprocess.run([*words, str(bodies)], capture_output=True, text=True, timeout=seconds + 90)
    if said.returncode:
        print(said.stderr, file=sys.stderr)
        return Load(0, seconds, 0, 0, 0, {"refused": connections})
    return Load(**json.loads(said.stdout.splitlines()[-1]))
