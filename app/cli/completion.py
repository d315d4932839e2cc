"""Completion of the names of models and the ids of adaptations, if a server answers at once."""

from contextlib import suppress
from threading import Thread
from typing import Literal

import typer

from app.cli import answers
from app.cli.console import printable
from app.cli.server_requests import asking
from app.errors import InnerloopError
from innerloop_client.connection_options import DEFAULT_URL

TIMEOUT_S = 1.0
"""Longest time that the shell waits for the server."""


def complete_model(ctx: typer.Context, incomplete: str) -> list[str]:
    """The models whose names begin like this."""
    found = _ask(ctx, answers.Models, "models")
    return [each["name"] for each in found if each["name"].startswith(incomplete)]


def complete_id(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The newest adaptations whose ids begin like this, with their labels, or else their models."""
    found = _ask(ctx, answers.Listing, "adaptations")
    pairs = [(each["adaptation_id"], printable(each.get("label") or each["model"])) for each in found]
    return [pair for pair in pairs if pair[0].startswith(incomplete)]


def _ask(ctx: typer.Context, form: type, collection: Literal["models", "adaptations"]) -> list[dict[str, str]]:
    """What the server lists; nothing if it does not answer in time."""
    found: list[dict[str, str]] = []

    def ask() -> None:
        with (
            suppress(InnerloopError),
            asking(ctx.params.get("url") or DEFAULT_URL, TIMEOUT_S, retries=0) as server,
        ):
            found.extend(server.get(form, collection)[collection])

    thread = Thread(target=ask, daemon=True)  # the process ends without it, as the answer may come a byte at a time
    thread.start()
    thread.join(TIMEOUT_S)
    return list(found)
