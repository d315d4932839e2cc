"""Completion of the names of models and bundles, and of the ids of adaptations, if a server answers at once."""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from threading import Thread

import typer

from app.bundles.file_names import MANIFEST
from app.cli.server_requests import asking
from app.errors import InnerloopError, printable
from innerloop_client import Client
from innerloop_client.connection_options import DEFAULT_URL
from innerloop_client.descriptions import reading

TIMEOUT_S = 1.0
"""Longest time that the shell waits for the server."""
MOST = 100
"""Most ids that are offered: the newest, one page."""
MODELS_DIR = "INNERLOOP_MODELS_DIR"
WORD = re.compile(r"[\w.-]+")
"""A name or an id that a shell takes as it is."""


def complete_model(ctx: typer.Context, incomplete: str) -> list[str]:
    """The models whose names begin like this."""
    return list(_ask(ctx, incomplete, lambda client: {each.name: "" for each in client.models()}))


def complete_bundle(ctx: typer.Context, incomplete: str) -> list[str]:
    """The bundles in the models folder whose names begin like this; those of the server, if --server is given."""
    if server := ctx.params.get("server"):
        return list(_ask(ctx, incomplete, lambda client: {each.name: "" for each in client.models()}, server))
    folder = Path(ctx.params.get("models_dir") or os.environ.get(MODELS_DIR) or "models")
    names = sorted(file.parent.name for file in folder.glob(f"*/{MANIFEST}"))
    return [name for name in names if name.startswith(incomplete) and WORD.fullmatch(name)]


def complete_id(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The newest adaptations whose ids begin like this, with their labels, or else their models."""
    return list(_ask(ctx, incomplete, _newest).items())


def _newest(client: Client) -> dict[str, str]:
    return {each.id: printable(each.label or each.model) for each in islice(client.adaptations(), MOST)}


def _ask(
    ctx: typer.Context, incomplete: str, words: Callable[[Client], dict[str, str]], server: str | None = None
) -> dict[str, str]:
    """The words of a server that begin like this, each with its help; none if it does not answer in time.

    server: its URL; by default that of the command
    """
    matches: dict[str, str] = {}

    def ask() -> None:
        with (
            suppress(InnerloopError),
            asking(server or ctx.params.get("url") or DEFAULT_URL, TIMEOUT_S, retries=0) as client,
            reading("names"),
        ):
            listed = words(client).items()
            matches.update(
                {name: text for name, text in listed if name.startswith(incomplete) and WORD.fullmatch(name)}
            )

    thread = Thread(target=ask, daemon=True)  # the process ends without it, as the answer may come a byte at a time
    thread.start()
    thread.join(TIMEOUT_S)
    return dict(matches)
