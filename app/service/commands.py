"""What clients want of adaptations: one to a support set, or answers to queries."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.errors import Invalid
from app.learn.adapted import Adapted
from app.service.cross_validation import Method
from app.service.model import Model
from app.service.outputs import DEFAULT_OPTIONS, Predicted, PredictOptions
from app.service.record import Adaptation, InnerLoopSettings, SupportSet
from app.service.task import Task


@dataclass(eq=False, slots=True)
class AdaptCommand:
    """An adaptation that a client wants.

    examples: of the model's kind
    ttl_s: how long it lives; None for the setting
    pinned: whether it stays with this bundle when there is a newer one; None for the setting
    key: what the client calls this request, so that a repeat of it is recognised
    reuse: whether another adaptation of the same content, wanted in the same way, will do
    """

    owner: str
    model: Model
    examples: SupportSet
    asked: InnerLoopSettings
    ttl_s: int | None = None
    label: str | None = None
    pinned: bool | None = None
    assess: Method | None = None
    key: str | None = None
    reuse: bool = False


@dataclass(eq=False, slots=True)
class PredictCommand:
    """Queries, float32 [query, feature], and what is to answer them.

    With an adaptation, that one; with a task, a passing adaptation to it; with neither, the initialization itself.
    """

    model: Model
    queries: np.ndarray
    task: Task | None = None
    adaptation: Adaptation | None = None
    wishes: PredictOptions = DEFAULT_OPTIONS


@dataclass(eq=False, slots=True)
class Answer:
    """adapted: what came of the inner loop, where it had to run."""

    question: PredictCommand
    predicted: Predicted
    adapted: Adapted | None


def task_of(wanted: AdaptCommand) -> Task:
    """What a client wants to adapt to, with the settings that its model gives it."""
    steps, rate = settings(wanted.asked, wanted.model)
    inputs, targets, episodes = wanted.examples
    return Task(inputs, targets, steps, rate, episodes)


def settings(asked: InnerLoopSettings, model: Model) -> tuple[int, float]:
    """The steps and the rate for a model: as asked, within its bounds, or its defaults."""
    bounds = model.bundle.manifest.inner_loop
    steps, rate = asked
    return (
        bounds.steps if steps is None else min(steps, bounds.max_steps),
        bounds.learning_rate if rate is None else min(rate, bounds.max_learning_rate),
    )


def check_classes(classes: Sequence[str], model: Model, place: str) -> None:
    """Raises Invalid where these are more than a model tells apart."""
    if model.max_classes is not None and len(classes) > model.max_classes:
        most = f"{model.bundle.name} tells {model.max_classes} classes apart at most"
        raise Invalid(f"{most}, got {len(classes)}: leave some out", place)
