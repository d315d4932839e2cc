"""A new adaptation while it is being made."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.learn.adaptation_outcome import Adapted
from app.service.commands import AdaptCommand
from app.service.cross_validation import CrossValidation
from app.service.job import Job
from app.service.record import Adaptation, Change, Revision
from app.service.task import Task
from app.service.work_cost import LARGE

QUICK = LARGE // 100
"""The price of work that takes about 0.5 ms, as long as a few reads from the store."""


@dataclass(eq=False, slots=True)
class NewAdaptation:
    """An adaptation that is being made.

    command: what asks for it
    pinned: whether it stays with this bundle
    job: the inner loop
    """

    command: AdaptCommand
    id: str
    pinned: bool
    job: Job

    @classmethod
    def of(cls, command: AdaptCommand, id: str, pinned: bool) -> "NewAdaptation":
        """pinned: the default for requests that do not say it."""
        job = Job(command.model, (id, 1), command.task)
        return cls(command, id, pinned if command.pinned is None else command.pinned, job)

    @property
    def task(self) -> Task:
        """What is adapted to."""
        assert self.job.task is not None, "only the initialization has no task"
        return self.job.task

    @property
    def is_quick(self) -> bool:
        """Whether adapting costs no more than looking for an earlier record.

        That of a pinned one does: it stores the bundle too. A request with `reuse` expects to find a record.
        """
        return self.job.price <= QUICK and self.command.assess is None and not (self.command.reuse or self.pinned)

    def validation(self) -> CrossValidation | None:
        """What `assess` asks for."""
        command = self.command
        if command.assess is None:
            return None
        return CrossValidation(command.model, self.task, command.assess, command.support.weights)

    def record(
        self, adapted: Adapted, quality: Mapping[str, Any] | None, names: tuple[str, ...], now: float, ttl_s: float
    ) -> Adaptation:
        """The record of its first revision. names: under which it can be found again; ttl_s: the default lifetime"""
        command, task, size = self.command, self.task, self.command.support.size
        return Adaptation(
            id=self.id,
            owner=command.owner,
            model=command.model.bundle.name,
            kind=command.model.bundle.manifest.kind,
            settings=command.settings,
            steps=task.steps,
            learning_rate=task.learning_rate,
            stages=(command.support.stage(1, 0),),
            next_example=size,
            history=(Revision(1, Change.adapted, size, command.model.digest, now),),
            losses=adapted.losses,
            status=adapted.status,
            created_at=now,
            expires_at=now + (ttl_s if command.ttl_s is None else command.ttl_s),
            label=command.label,
            pinned=self.pinned,
            quality=quality,
            names=names,
            label_names=task.label_names,
            value_names=command.model.bundle.value_names,
        )
