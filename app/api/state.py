"""What routes get from the application that serves them, by FastAPI's dependencies."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from app.service.adaptations import Adaptations
from app.service.catalogue import Catalogue


@dataclass(frozen=True)
class Limits:
    """What a request may at most bring. body: bytes; support: examples; ttl: seconds; lines: under way at once."""

    body: int
    support: int
    ttl: int
    lines: int


@dataclass(frozen=True)
class ServerState:
    """All that the routes need; `create_app` puts it on the application."""

    adaptations: Adaptations
    catalogue: Catalogue
    device: str
    limits: Limits


def server_state(request: Request) -> ServerState:
    """The state of the application that got this request."""
    state: ServerState = request.app.state.server
    return state


State = Annotated[ServerState, Depends(server_state)]
