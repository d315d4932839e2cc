"""The changes of a record: more examples, fewer examples, and the revision that completes a change."""

from collections.abc import Sequence
from dataclasses import replace

from app.errors import LastExample, NothingToUndo, UnknownExample
from app.learn.adaptation_outcome import Adapted
from app.service.commands import EditCommand, bounded, names_count
from app.service.model import Model
from app.service.record import CONTENT, Adaptation, Change, Revision
from app.service.stored_examples import Stage
from app.service.support_set import SupportSet


def with_examples(adaptation: Adaptation, support: SupportSet) -> Adaptation:
    """The record with more examples. `with_revision` completes it once it is derived."""
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


def on_model(adaptation: Adaptation, model: Model) -> Adaptation:
    """The record with the settings that it has on another model."""
    steps, rate = bounded(adaptation.settings, model)
    return replace(adaptation, steps=steps, learning_rate=rate, label_names=names_count(adaptation.settings, model))


def with_edit(adaptation: Adaptation, command: EditCommand, now: float) -> Adaptation:
    """The record with another label or expiry, which is complete. now: seconds since the epoch"""
    return replace(
        adaptation,
        label=command.label if command.relabel else adaptation.label,
        expires_at=adaptation.expires_at if command.ttl_s is None else now + command.ttl_s,
        edits=adaptation.edits + 1,
    )


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
