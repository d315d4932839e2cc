"""What runs jobs, as the operations on adaptations see it."""

from collections.abc import AsyncGenerator, Hashable, Sequence
from typing import Protocol

from app.learn.adaptation_outcome import Adapted
from app.service.deadlines import Caller
from app.service.job import Job, Result
from app.service.model import Model


class Worker(Protocol):
    """What runs jobs (`app.service.lanes`)."""

    async def submit(self, job: Job, caller: Caller | None = None) -> Result:
        """Run a job."""

    async def submit_all(self, jobs: Sequence[Job], caller: Caller | None = None) -> list[Result]:
        """Run jobs together."""

    def walk(self, job: Job, caller: Caller | None = None) -> AsyncGenerator[float | Adapted]:
        """Adapt step by step: yield each support loss as soon as it is computed, and the outcome last."""

    def check_price(self, price: int, place: str, fix: str) -> None:
        """Raise Invalid at `place` where a request costs more than one may. fix: what to do"""

    async def drop(self, model: Model, key: Hashable) -> None:
        """Free the fast weights under a key."""

    async def forget(self, owner: str, rows: Sequence[object]) -> None:
        """Free the features of rows of an owner."""
