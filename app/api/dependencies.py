"""What routes get from the application that serves them, as FastAPI dependencies."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from app.api.client_headers import by_name
from app.api.http_caller import Client
from app.api.large_bodies import LargeBodies
from app.service.adaptations import Adaptations
from app.service.background import BackgroundTasks
from app.service.catalogue import Catalogue
from app.service.concurrent_changes import Changes
from app.service.health import Health
from app.service.proposals import Proposals
from app.service.version_choice import VersionChoice


@dataclass(frozen=True)
class Limits:
    """The most that a request may bring. body: bytes; support: examples; ttl: seconds; lines: under way at once."""

    body: int
    support: int
    ttl: int
    lines: int


@dataclass(frozen=True)
class ServerState:
    """Everything that the routes need; `create_app` puts it on the application."""

    models: VersionChoice
    changes: Changes
    adaptations: Adaptations
    proposals: Proposals
    catalogue: Catalogue
    background: BackgroundTasks
    health: Health
    device: str
    limits: Limits
    large_bodies: LargeBodies


def server_state(request: Request) -> ServerState:
    """The state of the application that got this request."""
    state: ServerState = request.app.state.server
    return state


# coroutines, because FastAPI calls any other function on a thread


async def _state(request: Request) -> ServerState:
    return server_state(request)


async def _client(request: Request) -> Client:
    return Client.from_headers(by_name(request.scope["headers"]), request.receive)


State = Annotated[ServerState, Depends(_state)]
RequestClient = Annotated[Client, Depends(_client)]
