"""What a client wants done, as values: adapt to a support set, answer queries, or propose which row to measure next."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from app.errors import OtherVersion
from app.learn.adaptation_outcome import Adapted
from app.service.answers import DEFAULT_OPTIONS, Answer, PredictOptions
from app.service.class_labels import Label
from app.service.cross_validation import Method
from app.service.model import Model
from app.service.record import Adaptation, InnerLoopSettings
from app.service.support_set import SupportSet
from app.service.task import Task


def check_version(model: Model, version: str | None) -> None:
    """Raise OtherVersion if a request is for another version of a model than this one. version: None for any"""
    if version is not None and version != model.digest:
        raise OtherVersion(model.bundle.name, model.digest, version)


@dataclass(eq=False, slots=True)
class AdaptCommand:
    """Adapt a model to a support set, and keep the adaptation.

    support: in the form of the model's kind
    ttl_s: seconds that the adaptation lives; None for the server's default
    pinned: whether it stays with this bundle when there is a newer one of its name; None for the server's default
    assess: how to measure whether adapting helped; None not to
    key: the client's idempotency key
    reuse: whether an earlier adaptation to the same content, made with `reuse` too, will do
    version: the digest of the version of the model that the request is for; None for any
    """

    owner: str
    model: Model
    support: SupportSet
    settings: InnerLoopSettings
    ttl_s: int | None = None
    label: str | None = None
    pinned: bool | None = None
    assess: Method | None = None
    key: str | None = None
    reuse: bool = False
    version: str | None = None

    def check_version(self) -> None:
        """Raise OtherVersion if the request is for another version of the model than this one."""
        check_version(self.model, self.version)

    @property
    def task(self) -> Task:
        """The support set with the steps and the rate that the model allows."""
        return task_of(self.model, self.support, self.settings)


@dataclass(frozen=True)
class EditCommand:
    """Change what an adaptation is called, or when it expires.

    relabel: whether `label` becomes its label; None removes it
    ttl_s: seconds from now until it expires; None leaves that as it is
    """

    relabel: bool
    label: str | None
    ttl_s: int | None


@dataclass(eq=False, slots=True)
class PredictCommand:
    """Answer queries, float32 [query, feature].

    By an adaptation; or by adapting to a task, keeping nothing; or, without either, by the initialization itself.

    queries: or what the worker encodes, [query] of objects
    examples: the number of the example of each row of the support set, as the client knows it, int [row]; None where
        they are counted from 0
    """

    model: Model
    queries: np.ndarray
    task: Task | None = None
    adaptation: Adaptation | None = None
    options: PredictOptions = DEFAULT_OPTIONS
    examples: np.ndarray | None = None


class Cut(NamedTuple):
    """The numbers of the rows that are asked about, and of examples, of which only the beginning is encoded."""

    rows: Sequence[int] = ()
    examples: Sequence[int] = ()


NOTHING_CUT = Cut()


@dataclass(eq=False, slots=True)
class PredictResult:
    """An answer to queries.

    adapted: the losses and the status of the inner loop, where it had to run
    cut: the numbers of the queries, and of the examples that came with them, of which only the beginning is encoded
    """

    command: PredictCommand
    answer: Answer
    adapted: Adapted | None
    cut: Cut = NOTHING_CUT


class Goal(StrEnum):
    """What proposals are for: to learn the task, or to find the largest or the smallest target."""

    learn = "learn"
    maximize = "maximize"
    minimize = "minimize"


@dataclass(eq=False, slots=True)
class ProposeCommand:
    """Propose which of the candidates, the queries of `predict`, to measure or label next. Nothing is kept.

    count: how many of them
    target: the index of the number, or of the class, that matters; None for all of them
    posted: the candidates as they were posted, [candidate] of objects; None where `predict` has them so
    """

    predict: PredictCommand
    count: int
    goal: Goal
    target: int | None = None
    posted: np.ndarray | None = None


@dataclass(eq=False, slots=True)
class Proposal:
    """A candidate to measure or label next. What does not apply is None.

    index: of the candidate
    score: how much it is worth, given the earlier proposals of the answer; larger is better
    prediction: as POST /predict gives it: float32 [target], or a label
    std: the standard deviation of each number of the prediction, float32 [target]
    nearest_example: the number of the nearest example
    unlike: whether it is unlike anything in the support set, or unlike the inputs of training
    """

    index: int
    score: float
    prediction: np.ndarray | Label
    std: np.ndarray | None
    nearest_example: int | None
    unlike: bool | None


@dataclass(eq=False, slots=True)
class ProposeResult:
    """The proposals, the best first.

    adapted: the outcome of the inner loop, where it had to run
    cut: the numbers of the candidates, and of the examples that came with them, of which only the beginning is encoded
    """

    command: ProposeCommand
    proposals: Sequence[Proposal]
    adapted: Adapted | None
    cut: Cut = NOTHING_CUT


def task_of(model: Model, support: SupportSet, settings: InnerLoopSettings) -> Task:
    """A support set with the steps and the rate that a model allows."""
    return support.task(*bounded(settings, model), label_names=names_count(settings, model))


def names_count(settings: InnerLoopSettings, model: Model) -> bool:
    """Whether the words of a label count as an example: as chosen, or as the bundle has it."""
    chosen = settings.label_names
    return bool(model.bundle.manifest.label_names if chosen is None else chosen)


def bounded(settings: InnerLoopSettings, model: Model) -> tuple[int, float]:
    """Steps and rate: as chosen, within the model's bounds, or its defaults."""
    bounds, (steps, rate, _) = model.bundle.manifest.inner_loop, settings
    return (
        bounds.steps if steps is None else min(steps, bounds.max_steps),
        bounds.learning_rate if rate is None else min(rate, bounds.max_learning_rate),
    )
