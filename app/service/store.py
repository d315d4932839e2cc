"""What is remembered of an adaptation, and the protocol of the stores that remember it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.learn.adapted import Status
from app.service.task import Task


@dataclass(frozen=True)
class Adaptation:
    """The record of one adaptation. It is the truth: fast weights can be derived from it again at any time.

    model, model_digest: the bundle, and exactly which
    task: the support set with the inner-loop settings
    losses: the support loss before the first step and after each
    created_at, expires_at: seconds since the epoch
    """

    id: str
    model: str
    model_digest: str
    kind: str
    task: Task
    losses: tuple[float, ...]
    status: Status
    label: str | None
    created_at: float
    expires_at: float


class Store(Protocol):
    """Where records are kept. All stores are equal behind it (`app.storage`)."""

    async def put(self, adaptation: Adaptation) -> None:
        """Keep a record. When this returns it is as durable as the store makes it."""

    async def get(self, id: str) -> Adaptation | None:
        """The record of that id, expired or not, or None."""

    async def delete(self, id: str) -> bool:
        """Remove a record; whether there was one."""

    async def newest(self, limit: int, now: float) -> Sequence[Adaptation]:
        """At most `limit` records that have not expired by `now`, the newest first."""

    async def forget_expired(self, before: float) -> None:
        """Remove all records that expired before that time, in seconds since the epoch."""
