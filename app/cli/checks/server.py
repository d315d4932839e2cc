"""Whether a server answers at INNERLOOP_URL."""

from app.cli.checks.finding import Finding, Mark
from app.cli.server_connection import error_text
from app.errors import expectation
from innerloop_client import Client, ConnectionFailed, InnerloopError
from innerloop_client.connection_options import check_url

PART = "server"
LIMIT_S = 10.0
"""A server that takes longer counts as one that does not answer."""


def check(url: str) -> Finding:
    """Ask the server for its health."""
    try:
        check_url("INNERLOOP_URL", url)
        with Client(url, timeout=LIMIT_S, retries=0) as innerloop:
            health = innerloop.health()
    except ConnectionFailed as error:
        fix = "start a server with `innerloop serve`, or correct the URL"
        actual = f'"{error.__cause__ or error}"'
        return Finding(PART, "problem", expectation("INNERLOOP_URL", f"an answer from {url}", actual, fix))
    except InnerloopError as error:
        return Finding(PART, "problem", error_text("INNERLOOP_URL", url, error))
    if health.status == "ready":
        return Finding(PART, "ok", f"{url} is ready, and serves {', '.join(health.models)} on {health.device}")
    reasons = [f"{part}: {reason}" for part, reason in (*health.degraded.items(), *health.failing.items())]
    if not reasons:
        reasons = ["Run `innerloop doctor` on its machine, with its settings"]
    mark: Mark = "warning" if health.ready else "problem"
    verb = "answers" if health.ready else "cannot answer"
    return Finding(PART, mark, ". ".join([f"{url} {verb}: {health.status}", *reasons]))
