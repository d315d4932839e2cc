"""The record of an adaptation: the truth, from which fast weights can be derived again at any time.

It is a value. A change makes a new record with the next revision; `Store.replace` puts it in the place of the old one.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from app.errors import KeyReused, LastExample, NothingToUndo, UnknownExample
from app.learn.adapted import Adapted, Status
from app.service.outputs import KINDS
from app.service.task import Task, classes_of

KEY, CONTENT = "key:", "content:"
"""What the names of a record begin with: those that the client chose, and those that its content makes."""


class Stage(NamedTuple):
    """Examples that were posted together, less those forgotten since.

    revision: the revision that they came with
    numbers: int32 [row], the number within the adaptation of the example that each row is of: ascending, and never
        given again. An example is a row, of decisions an episode
    inputs: float32 [row, feature]
    targets: as in a `Task`
    """

    revision: int
    numbers: np.ndarray
    inputs: np.ndarray
    targets: np.ndarray

    @property
    def examples(self) -> np.ndarray:
        """The numbers of its examples, each once, int32 [example]."""
        first: np.ndarray = self.numbers[np.diff(self.numbers, prepend=-1) > 0]
        return first


class Change(Enum):
    """What made a revision."""

    adapted = "adapted"
    extended = "extended"
    forgot = "forgot"
    undone = "undone"
    rederived = "rederived"


class Revision(NamedTuple):
    """One line of an adaptation's history.

    support_size: examples after the change
    digest: of the bundle that it was derived with
    at: seconds since the epoch
    forgotten: the number of the example that was forgotten, where that was the change
    request: of one with an idempotency key, by which it is recognised (`request_of`)
    """

    number: int
    change: Change
    support_size: int
    digest: str
    at: float
    forgotten: int | None = None
    request: bytes | None = None


class InnerLoopSettings(NamedTuple):
    """Inner-loop settings that the client chose; None leaves one to the bundle, also to a later one."""

    steps: int | None
    learning_rate: float | None


@dataclass(frozen=True, eq=False)
class Adaptation:
    """The record (module docstring).

    id: 32 hexadecimal digits, unique, and ascending in the order of creation (a UUIDv7)
    owner: whose it is; nobody else learns of it
    model: the bundle's name; which one exactly is the digest of the last revision
    pinned: whether it stays with that bundle for as long as this is there, when there is a newer one of the name
    steps, learning_rate: those it was derived with
    losses: the support loss before the first step and after each
    next_example: the number that the next example gets
    quality: what assessing found (`app.service.cross_validation`), of what JSON has
    names: under which a repeated request finds it (`Name`)
    created_at, expires_at: seconds since the epoch
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

    @property
    def staged(self) -> bool:
        """Whether its examples are episodes, and its stages are adapted to one after another."""
        return KINDS[self.kind].staged

    @property
    def revision(self) -> int:
        """The number of the present revision, from 1 on."""
        return self.history[-1].number

    @property
    def digest(self) -> str:
        """Of the bundle that it was last derived with."""
        return self.history[-1].digest

    @property
    def support_size(self) -> int:
        """Examples that it was derived from."""
        return self.history[-1].support_size

    @property
    def numbers(self) -> np.ndarray:
        """The numbers of its examples, int32 [example]."""
        return _joined([stage.examples if self.staged else stage.numbers for stage in self.stages])

    @property
    def targets(self) -> np.ndarray:
        """The targets of its examples, as in its stages."""
        return _joined([stage.targets for stage in self.stages])

    @property
    def labels(self) -> tuple[str, ...]:
        """Its classes, as they first come among the examples that it has; none where targets are numbers."""
        return classes_of(self.targets)

    @cached_property
    def task(self) -> Task:
        """What to derive its fast weights from: made once, as each prediction is asked with it."""
        if self.staged:
            return self._last_stage
        inputs = _joined([stage.inputs for stage in self.stages])
        return Task(inputs, self.targets, self.steps, self.learning_rate)

    @property
    def _last_stage(self) -> Task:
        """The last of its stages, with those before."""
        task = None
        for stage in self.stages:
            task = Task(stage.inputs, stage.targets, self.steps, self.learning_rate, stage.numbers, task)
        assert task is not None, "an adaptation has examples"
        return task


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """The rows of all; mostly there is but one stage, which needs no copy."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


class SupportSet(NamedTuple):
    """A support set as it was posted; inputs and targets as in a `Task`.

    episodes: of decisions, the episode that each is of, int32 [row], from 0 on; ascending
    """

    inputs: np.ndarray
    targets: np.ndarray
    episodes: np.ndarray | None = None

    @property
    def size(self) -> int:
        """How many they are."""
        return len(self.inputs) if self.episodes is None else int(self.episodes[-1]) + 1

    @property
    def content(self) -> tuple[np.ndarray, ...]:
        """The arrays that they are."""
        own = (self.inputs, self.targets)
        return own if self.episodes is None else (*own, self.episodes)

    def numbered(self, first: int) -> np.ndarray:
        """The number of the example that each row is of, int32 [row], from `first` on."""
        if self.episodes is None:
            return np.arange(first, first + len(self.inputs), dtype=np.int32)
        return self.episodes + np.int32(first)


def extended(adaptation: Adaptation, more: SupportSet) -> Adaptation:
    """With more examples. It is not derived yet, as with the other changes: `derived` says what came of that."""
    first = adaptation.next_example
    stage = Stage(adaptation.revision + 1, more.numbered(first), more.inputs, more.targets)
    return replace(adaptation, stages=(*adaptation.stages, stage), next_example=first + more.size)


def without(adaptation: Adaptation, number: int) -> Adaptation:
    """Without one example. Raises UnknownExample, and LastExample where no other is left."""
    known = adaptation.numbers
    if number not in known:
        raise UnknownExample(adaptation.id, number)
    if len(known) == 1:
        raise LastExample(adaptation.id)
    stages = []
    for stage in adaptation.stages:
        kept = stage.numbers != number
        if kept.any():
            # copies: a view would keep the forgotten example in memory
            stages.append(Stage(stage.revision, stage.numbers[kept], stage.inputs[kept], stage.targets[kept]))
    return replace(adaptation, stages=tuple(stages))


def undone(adaptation: Adaptation) -> Adaptation:
    """Without the examples that came last. Raises NothingToUndo where only those it began with are left."""
    if len(adaptation.stages) == 1:
        raise NothingToUndo(adaptation.id)
    return replace(adaptation, stages=adaptation.stages[:-1])


def bytes_of(content: np.ndarray) -> bytes:
    """Inputs or targets as bytes to recognise them by: no two are alike."""
    # labels are objects, whose own bytes are addresses
    numbers = repr(content.tolist()).encode() if content.dtype == object else content.tobytes()
    return repr(content.shape).encode() + numbers


def request_of(key: str, change: Change, *content: np.ndarray) -> bytes:
    """What a request to change an adaptation is recognised by: 16 bytes of its key, and 16 of what it asks for.

    The latter depend on the key, which is kept nowhere: of what is forgotten later they tell nothing.
    """
    asked = hashlib.blake2b(change.name.encode(), digest_size=16, key=hashlib.blake2b(key.encode()).digest())
    for part in content:
        asked.update(bytes_of(part))
    return hashlib.blake2b(key.encode(), digest_size=16).digest() + asked.digest()


def has_answered(adaptation: Adaptation, request: bytes) -> bool:
    """Whether a request has made one of the revisions. Raises KeyReused where another one with its key has."""
    for revision in adaptation.history:
        if revision.request is not None and revision.request[:16] == request[:16]:
            if revision.request != request:
                raise KeyReused
            return True
    return False


def derived(
    adaptation: Adaptation,
    adapted: Adapted,
    change: Change,
    digest: str,
    at: float,
    forgotten: int | None = None,
    request: bytes | None = None,
) -> Adaptation:
    """A changed record once it is derived: with its losses and its next revision, and no longer what a repeat finds."""
    size = len(adaptation.numbers)
    revision = Revision(adaptation.revision + 1, change, size, digest, at, forgotten, request)
    return replace(
        adaptation,
        losses=adapted.losses,
        status=adapted.status,
        history=(*adaptation.history, revision),
        quality=None,
        names=tuple(name for name in adaptation.names if not name.startswith(CONTENT)),
    )
