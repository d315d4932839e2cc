"""The stored record of an adaptation: its support set and settings, from which fast weights are derived at any time.

A record is immutable. A change makes a new record with the next revision; `Store.replace` stores it instead of the old.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from app.bundles.bundle import ValueNames
from app.learn.adaptation_outcome import Status
from app.service.answers import KINDS
from app.service.class_labels import Label, distinct
from app.service.stored_examples import Stage, concatenate, concatenate_rows
from app.service.support_set import SupportSet
from app.service.task import Task

KEY, CONTENT = "key:", "content:"
"""Prefixes of the names of a record: of a name that the client chose, and of one computed from the content."""


class Change(StrEnum):
    """What a revision changed."""

    adapted = "adapted"
    extended = "extended"
    forgot = "forgot"
    undone = "undone"
    rederived = "rederived"


class Revision(NamedTuple):
    """One line of an adaptation's history.

    support_size: the number of examples after the change
    digest: the digest of the bundle that derived it
    at: seconds since the epoch
    forgotten: the number of the forgotten example, for that change
    request: the `request_fingerprint` of a request with an idempotency key
    """

    number: int
    change: Change
    support_size: int
    digest: str
    at: float
    forgotten: int | None = None
    request: bytes | None = None


class InnerLoopSettings(NamedTuple):
    """Inner-loop settings that the client chose; None takes the bundle's default, also that of a later bundle."""

    steps: int | None
    learning_rate: float | None
    label_names: bool | None = None


@dataclass(frozen=True, eq=False)
class Adaptation:
    """The record (module docstring).

    id: 32 hexadecimal digits, unique, and ascending in the order of creation (a UUIDv7)
    owner: who created it; it is invisible to others
    model: the bundle's name; the digest of the last revision tells which bundle of that name
    pinned: whether it keeps that bundle when a newer one of the name arrives, for as long as the old one is there
    settings: what the client chose
    steps, learning_rate, label_names: what it was derived with
    losses: the support loss before the first step and after each
    next_example: the number that the next example gets
    quality: the result of cross-validation (`app.service.cross_validation`), in JSON's types
    names: the names under which a repeated request finds it (`Name`)
    created_at, expires_at: seconds since the epoch
    edits: how often the label or the expiry was changed, which makes no revision
    value_names: of the numbers in its inputs and in its targets, in their order; empty where they have none, and None
        where an older server wrote the record, which did not keep them
    """

    id: str
    owner: str
    model: str
    kind: str
    settings: InnerLoopSettings
    steps: int
    learning_rate: float
    stages: tuple[Stage, ...]
    next_example: int
    history: tuple[Revision, ...]
    losses: tuple[float, ...]
    status: Status
    created_at: float
    expires_at: float
    label: str | None = None
    pinned: bool = False
    quality: Mapping[str, Any] | None = None
    names: tuple[str, ...] = ()
    edits: int = 0
    label_names: bool = False
    value_names: ValueNames | None = None

    @property
    def staged(self) -> bool:
        """Whether examples are episodes, and stages are adapted to one after another."""
        return KINDS[self.kind].staged

    @property
    def revision(self) -> int:
        """The number of the current revision, from 1."""
        return self.history[-1].number

    @property
    def version(self) -> int:
        """A number that every change raises, also one that makes no revision."""
        return self.revision + self.edits

    @property
    def digest(self) -> str:
        """The digest of the bundle that it was last derived with."""
        return self.history[-1].digest

    @property
    def support_size(self) -> int:
        """The number of examples that it was derived from."""
        return self.history[-1].support_size

    @property
    def numbers(self) -> np.ndarray:
        """The number of each example, int32 [example]."""
        return concatenate([stage.examples if self.staged else stage.numbers for stage in self.stages])

    @property
    def rows(self) -> np.ndarray:
        """The inputs of all examples, as any encoder takes them."""
        return concatenate_rows([stage.rows for stage in self.stages])

    @property
    def targets(self) -> np.ndarray:
        """The targets of all examples, as in the stages."""
        return concatenate([stage.targets for stage in self.stages])

    @property
    def weights(self) -> np.ndarray | None:
        """The weight of each row, float32 [row]; None where all are 1."""
        if all(stage.weights is None for stage in self.stages):
            return None
        return concatenate(
            [np.ones(len(each.inputs), np.float32) if each.weights is None else each.weights for each in self.stages]
        )

    @property
    def labels(self) -> tuple[Label, ...]:
        """The classes: those declared, and those of the examples that count; none where targets are numbers."""
        return self.task.classes if KINDS[self.kind].labels else ()

    @property
    def declares_labels(self) -> bool:
        """Whether classes were declared."""
        return any(stage.labels for stage in self.stages)

    @property
    def all_labels(self) -> tuple[Label, ...]:
        """The classes as in `labels`, and those of examples whose weight is 0."""
        if not KINDS[self.kind].labels:
            return ()
        return distinct([label for stage in self.stages for label in (*stage.labels, *stage.targets.tolist())])

    @cached_property
    def task(self) -> Task:
        """The task that its fast weights are derived from. It is cached, as every prediction needs it."""
        if self.staged:
            return self._last_stage
        support = SupportSet(self.rows, self.targets, weights=self.weights, labels=self._declared)
        return support.task(self.steps, self.learning_rate, kept_by=self.owner, label_names=self.label_names)

    @property
    def _declared(self) -> tuple[Label, ...]:
        """Where classes were declared, all of them, stage by stage: the declared ones, then those of the examples."""
        if not self.declares_labels:
            return ()
        counted = (each.targets if each.weights is None else each.targets[each.weights > 0] for each in self.stages)
        parts = zip(self.stages, counted, strict=True)
        return distinct([label for stage, targets in parts for label in (*stage.labels, *targets.tolist())])

    @property
    def _last_stage(self) -> Task:
        """The last stage, linked to those before."""
        task = None
        for stage in self.stages:
            settings = self.steps, self.learning_rate
            task = Task(stage.rows, stage.targets, *settings, stage.numbers, task, kept_by=self.owner)
        assert task is not None, "an adaptation has examples"
        return task
