"""The stored record of an adaptation: its support set and settings, from which fast weights are derived at any time.

A record is immutable. A change makes a new record with the next revision; `Store.replace` stores it instead of the old.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from app.errors import Invalid, KeyReused, LastExample, NothingToUndo, UnknownExample
from app.learn.outcome import Adapted, Status
from app.service.answers import KINDS
from app.service.task import Label, Task, distinct, distinct_labels

KEY, CONTENT = "key:", "content:"
"""Prefixes of the names of a record: of a name that the client chose, and of one computed from the content."""


class Stage(NamedTuple):
    """Examples that were posted together, without those forgotten since.

    revision: the revision that they were added in
    numbers: int32 [row], the number of each row's example within the adaptation: ascending, and never reused. An
        example is a row; in decisions it is an episode. There are none if it only declares classes
    inputs: what was posted, in the canonical form of the encoder that read it (`Encoder.canonical`): numbers as float32
        [row, number]; anything else as an object array [row] of lists of values, strings, bytes or arrays
    targets: as in a `Task`
    weights: the weight of each row, float32 [row]; None where all are 1
    labels: the classes that were declared with these examples
    columns: the names of the values where rows are lists
    """

    revision: int
    numbers: np.ndarray
    inputs: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None = None
    labels: tuple[Label, ...] = ()
    columns: tuple[str, ...] = ()

    @property
    def rows(self) -> np.ndarray:
        """The inputs as any encoder takes them: as in `inputs`, but lists as objects with the names of the columns."""
        if not self.columns:
            return self.inputs
        return object_rows([dict(zip(self.columns, row, strict=True)) for row in self.inputs])

    @property
    def examples(self) -> np.ndarray:
        """The number of each example, once, int32 [example]."""
        first: np.ndarray = self.numbers[np.diff(self.numbers, prepend=-1) > 0]
        return first

    def only(self, kept: np.ndarray) -> "Stage":
        """The stage with the rows where `kept` is true, as copies: a view would keep the others in memory."""
        weights = None if self.weights is None or not kept.any() else self.weights[kept]
        return self._replace(
            numbers=self.numbers[kept], inputs=self.inputs[kept], targets=self.targets[kept], weights=weights
        )


class Change(Enum):
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


@dataclass(frozen=True, eq=False)
class Adaptation:
    """The record (module docstring).

    id: 32 hexadecimal digits, unique, and ascending in the order of creation (a UUIDv7)
    owner: who created it; it is invisible to others
    model: the bundle's name; the digest of the last revision tells which bundle of that name
    pinned: whether it keeps that bundle when a newer one of the name arrives, for as long as the old one is there
    settings: what the client chose
    steps, learning_rate: what it was derived with
    losses: the support loss before the first step and after each
    next_example: the number that the next example gets
    quality: the result of cross-validation (`app.service.cross_validation`), in JSON's types
    names: the names under which a repeated request finds it (`Name`)
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
        """Whether examples are episodes, and stages are adapted to one after another."""
        return KINDS[self.kind].staged

    @property
    def revision(self) -> int:
        """The number of the current revision, from 1."""
        return self.history[-1].number

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
        return _concatenate([stage.examples if self.staged else stage.numbers for stage in self.stages])

    @property
    def rows(self) -> np.ndarray:
        """The inputs of all examples, as any encoder takes them."""
        return concatenate_rows([stage.rows for stage in self.stages])

    @property
    def targets(self) -> np.ndarray:
        """The targets of all examples, as in the stages."""
        return _concatenate([stage.targets for stage in self.stages])

    @property
    def weights(self) -> np.ndarray | None:
        """The weight of each row, float32 [row]; None where all are 1."""
        if all(stage.weights is None for stage in self.stages):
            return None
        return _concatenate(
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
        return support.task(self.steps, self.learning_rate, kept_by=self.owner)

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


def _concatenate(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """The rows of all arrays. Mostly there is one stage, which needs no copy."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def object_rows(rows: Sequence[Any]) -> np.ndarray:
    """Rows of any type as an object array [row]."""
    return np.fromiter(rows, object, len(rows))


def concatenate_rows(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The rows of all parts, which are as in `Stage`."""
    parts = [part for part in parts if len(part)] or parts[:1]
    if len(parts) > 1 and len({part.dtype == object for part in parts}) > 1:
        parts = [part if part.dtype == object else object_rows([*part]) for part in parts]
    return _concatenate(parts)


class SupportSet(NamedTuple):
    """A support set as it was posted; targets are as in a `Task`.

    inputs, columns: as in a `Stage`
    episodes: for decisions, the episode of each row, int32 [row], ascending from 0
    features: of the inputs, float32 [row, feature]; None where the inputs are the features
    weights: the weight of each example, float32 [row], one above 0 at least; None where all are 1
    labels: the classes that it declares
    locate: an error about `inputs` or `targets` -> the same at its place in the body
    """

    inputs: np.ndarray
    targets: np.ndarray
    episodes: np.ndarray | None = None
    features: np.ndarray | None = None
    columns: tuple[str, ...] = ()
    weights: np.ndarray | None = None
    labels: tuple[Label, ...] = ()
    locate: Callable[[Invalid], Invalid] = lambda error: error

    @property
    def size(self) -> int:
        """The number of examples."""
        return len(self.inputs) if self.episodes is None else int(self.episodes[-1]) + 1

    @property
    def content(self) -> tuple[np.ndarray, ...]:
        """The support set as arrays, different for different support sets."""
        arrays = [self.inputs, self.targets]
        if self.episodes is not None:
            arrays.append(self.episodes)
        if self.columns:
            arrays += [np.array(["columns"], object), np.array(self.columns, object)]
        if self.weights is not None:
            arrays += [np.array(["weights"], object), self.weights]
        if self.labels:
            arrays += [np.array(["labels"], object), np.array(self.labels, object)]
        return tuple(arrays)

    @property
    def classes(self) -> tuple[Label, ...]:
        """The declared classes, or those of the examples; none where targets are numbers."""
        return self.labels or distinct_labels(self.targets)

    def task(self, steps: int, learning_rate: float, kept_by: str | None = None) -> Task:
        """The task of adapting to it, without the examples whose weight is 0. kept_by: as in a `Task`"""
        inputs = self.inputs if self.features is None else self.features
        if self.weights is None:
            return Task(inputs, self.targets, steps, learning_rate, self.episodes, labels=self.labels, kept_by=kept_by)
        kept = self.weights > 0
        weights = self.weights[kept]
        return Task(
            inputs[kept],
            self.targets[kept],
            steps,
            learning_rate,
            weights=None if (weights == 1).all() else weights,
            labels=self.labels,
            kept_by=kept_by,
        )

    def numbers(self, first: int) -> np.ndarray:
        """The number of each row's example, int32 [row], counted from `first`."""
        if self.episodes is None:
            return np.arange(first, first + len(self.inputs), dtype=np.int32)
        return self.episodes + np.int32(first)

    def stage(self, revision: int, first: int) -> Stage:
        """The stage that a record keeps, its examples counted from `first`."""
        return Stage(revision, self.numbers(first), self.inputs, self.targets, self.weights, self.labels, self.columns)


def with_examples(adaptation: Adaptation, support: SupportSet) -> Adaptation:
    """The record with more examples. As after every change, `with_revision` completes it once it is derived."""
    first = adaptation.next_example
    stage = support.stage(adaptation.revision + 1, first)
    return replace(adaptation, stages=(*adaptation.stages, stage), next_example=first + support.size)


def without_example(adaptation: Adaptation, number: int, needs_examples: bool = True) -> Adaptation:
    """The record without one example. Classes that were declared stay. Raises UnknownExample and LastExample.

    needs_examples: whether another one with a weight has to be left even where classes are declared
    """
    numbers = adaptation.numbers
    if number not in numbers:
        raise UnknownExample(adaptation.id, number)
    rests = [stage.only(stage.numbers != number) for stage in adaptation.stages]
    stages = [rest for rest in rests if len(rest.numbers) or rest.labels]
    if not _is_enough(stages, needs_examples):
        raise LastExample(number, weighted=len(numbers) > 1)
    return replace(adaptation, stages=tuple(stages))


def _is_enough(stages: Sequence[Stage], needs_examples: bool) -> bool:
    """Whether any example has a weight above 0, or classes are declared and that is enough."""
    if not needs_examples and any(stage.labels for stage in stages):
        return True
    return any(len(stage.numbers) and (stage.weights is None or (stage.weights > 0).any()) for stage in stages)


def without_last_stage(adaptation: Adaptation, needs_examples: bool = True) -> Adaptation:
    """The record without the examples that were added last. Raises NothingToUndo where only the first ones are left.

    needs_examples: as for `without_example`
    """
    if not _is_enough(adaptation.stages[:-1], needs_examples):
        raise NothingToUndo
    return replace(adaptation, stages=adaptation.stages[:-1])


def content_bytes(content: np.ndarray) -> bytes:
    """Inputs or targets as bytes, different for different content."""
    # labels and rows are objects, whose raw bytes are addresses
    if content.dtype == object:
        values = [content_bytes(each) if isinstance(each, np.ndarray) else each for each in content.tolist()]
        return repr(content.shape).encode() + repr(values).encode()
    return repr(content.shape).encode() + content.tobytes()


def request_fingerprint(key: str, change: Change, *content: np.ndarray) -> bytes:
    """The fingerprint of a request to change an adaptation: 16 bytes for its key, and 16 for what it asks for.

    The latter depend on the key, which is stored nowhere, so they reveal nothing about an example forgotten later.
    """
    content_hash = hashlib.blake2b(change.name.encode(), digest_size=16, key=hashlib.blake2b(key.encode()).digest())
    for part in content:
        content_hash.update(content_bytes(part))
    return hashlib.blake2b(key.encode(), digest_size=16).digest() + content_hash.digest()


def has_applied(adaptation: Adaptation, request: bytes) -> bool:
    """Whether a request has made one of the revisions. Raises KeyReused where another request with its key has."""
    for revision in adaptation.history:
        if revision.request is not None and revision.request[:16] == request[:16]:
            if revision.request != request:
                raise KeyReused
            return True
    return False


def with_revision(
    adaptation: Adaptation,
    adapted: Adapted,
    change: Change,
    digest: str,
    at: float,
    forgotten: int | None = None,
    request: bytes | None = None,
) -> Adaptation:
    """A changed record, once derived, with its losses and its next revision.

    The names computed from its content are dropped: a repeated request no longer finds it by the old content.
    """
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
