"""Completion of the names of models and the ids of adaptations, if a server answers at once."""

from typing import Any

import typer

from app.cli.server_requests import Asking, asking
from app.errors import InnerloopError
from innerloop_client.connection_options import DEFAULT_URL

TIMEOUT_S = 1.0
"""Longest time that the shell waits for the server."""


def complete_model(ctx: typer.Context, incomplete: str) -> list[str]:
    """The models whose names begin like this."""
    return [name for name, _ in _ask(ctx, "models", "name", "name") if name.startswith(incomplete)]


def complete_id(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The newest adaptations whose ids begin like this, with their labels, or else their models."""
    return [pair for pair in _ask(ctx, "adaptations", "adaptation_id", "label") if pair[0].startswith(incomplete)]


def _ask(ctx: typer.Context, path: str, name: str, about: str) -> list[tuple[str, str]]:
    """A name and what it is for all that the server lists; nothing if it does not answer."""
    try:
        with asking(ctx.params.get("url") or DEFAULT_URL, TIMEOUT_S, retries=0) as server:
            return [(each[name], each.get(about) or each["model"]) for each in _listed(server, path)]
    except InnerloopError:
        return []


def _listed(server: Asking, path: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = server.get(path)[path]
    return listed
