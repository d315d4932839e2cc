"""Running the command `innerloop` in a process of its own."""

import subprocess
from pathlib import Path

from service_tests.processes import ROOT, command


def innerloop(*words: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run it in a folder, and wait for its end."""
    return subprocess.run(
        [command("innerloop"), *words], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
