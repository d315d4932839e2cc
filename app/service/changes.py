"""The changes of a record: more examples, fewer examples, and the revision that completes a change."""

from collections.abc import Sequence
from dataclasses import replace

from app.errors import LastExample, NothingToUndo, UnknownExample
from app.learn.outcome import Adapted
from app.service.record import CONTENT, Adaptation, Change, Revision
from app.service.stage import Stage
from app.service.support_set import SupportSet
from app.service.task import distinct


def with_examples(adaptation: Adaptation, support: SupportSet) -> Adaptation:
    """The record with more examples. As after every change, `with_revision` completes it once it is derived."""
    first = adaptation.next_example
    stage = support.stage(adaptation.revision + 1, first)
    return replace(adaptation, stages=(*adaptation.stages, stage), next_example=first + support.size)


def without_example(adaptation: Adaptation, number: int) -> Adaptation:
    """The record without one example. Raises UnknownExample, and LastExample where no other with a weight is left.

    Classes that were declared stay. If no example of their stage is left, they belong to the first stage from then on.
    """
    numbers = adaptation.numbers
    if number not in numbers:
        raise UnknownExample(adaptation.id, number)
    rests = [stage.only(stage.numbers != number) for stage in adaptation.stages]
    stages = [rest for rest in rests if len(rest.numbers)]
    if not _any_counts(stages):
        raise LastExample(number, weighted=len(numbers) > 1)
    if orphans := [label for rest in rests if not len(rest.numbers) for label in rest.labels]:
        stages[0] = stages[0]._replace(labels=distinct([*stages[0].labels, *orphans]))
    return replace(adaptation, stages=tuple(stages))


def _any_counts(stages: Sequence[Stage]) -> bool:
    """Whether any example has a weight above 0."""
    return any(stage.weights is None or (stage.weights > 0).any() for stage in stages)


def without_last_stage(adaptation: Adaptation) -> Adaptation:
    """The record without the examples that were added last. Raises NothingToUndo where only the first ones are left."""
    if not _any_counts(adaptation.stages[:-1]):
        raise NothingToUndo
    return replace(adaptation, stages=adaptation.stages[:-1])


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
