"""Whether a server answers at INNERLOOP_URL."""

import httpx
import msgspec

from app.cli.checks.finding import Finding, Mark
from app.errors import expectation

PART = "server"
LIMIT_S = 10.0
"""A server that takes longer counts as one that does not answer."""


class _Ready(msgspec.Struct):
    """What is read of the answer to `GET /health/ready`."""

    status: str
    device: str
    models: list[str]
    degraded: dict[str, str] = {}
    failing: dict[str, str] = {}


def check(url: str) -> Finding:
    """Ask the server for its health."""
    try:
        response = httpx.get(f"{url.rstrip('/')}/health/ready", timeout=LIMIT_S)
        ready = msgspec.json.decode(response.content, type=_Ready)
    except (httpx.TransportError, httpx.InvalidURL) as error:
        fix = "start a server with `innerloop serve`, or correct the URL"
        return Finding(PART, "problem", expectation("INNERLOOP_URL", f"an answer from {url}", f'"{error}"', fix))
    except msgspec.DecodeError:
        actual = f"status {response.status_code} from another server"
        message = expectation("INNERLOOP_URL", f"an answer from Innerloop at {url}", actual, "correct the URL")
        return Finding(PART, "problem", message)
    mark: Mark = "problem" if response.is_error else "warning" if ready.degraded or ready.failing else "ok"
    if mark == "ok":
        return Finding(PART, mark, f"{url} is ready, and serves {', '.join(ready.models)} on {ready.device}")
    reasons = [f"{part}: {reason}" for part, reason in (ready.degraded | ready.failing).items()]
    if not reasons:
        reasons = ["Run `innerloop doctor` on its machine, with its settings"]
    verb = "cannot answer" if mark == "problem" else "answers"
    return Finding(PART, mark, ". ".join([f"{url} {verb}: {ready.status}", *reasons]))
