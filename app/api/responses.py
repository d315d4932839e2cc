"""Records, answers and bundles as a client sees them."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np
from msgspec import UNSET, UnsetType

from app.api import schemas
from app.errors import BundleError
from app.learn.policies import Actions
from app.service.commands import Answer
from app.service.model import Model
from app.service.record import Adaptation, Stage


def adapted(adaptation: Adaptation) -> schemas.AdaptResponse:
    """A record as the client sees it."""
    lineage = _lineage(adaptation)
    return schemas.AdaptResponse(
        adaptation_id=adaptation.id,
        revision=adaptation.revision,
        model=adaptation.model,
        model_digest=adaptation.digest,
        kind=adaptation.kind,
        support_size=adaptation.support_size,
        examples=adaptation.numbers.tolist(),
        steps=adaptation.steps,
        learning_rate=adaptation.learning_rate,
        losses=losses(adaptation.losses),
        status=adaptation.status.name,
        message=adaptation.status.value,
        created_at=time(adaptation.created_at),
        expires_at=time(adaptation.expires_at),
        label=UNSET if adaptation.label is None else adaptation.label,
        labels=adaptation.labels or UNSET,
        pinned=adaptation.pinned or UNSET,
        quality=UNSET if adaptation.quality is None else schemas.Quality(**adaptation.quality),
        lineage=lineage or UNSET,
    )


def _lineage(adaptation: Adaptation) -> list[str]:
    """The digests of the bundles before the present one, the first one first."""
    if len(adaptation.history) == 1:
        return []
    digests = dict.fromkeys(revision.digest for revision in adaptation.history)
    return [digest for digest in digests if digest != adaptation.digest]


def history(adaptation: Adaptation) -> schemas.History:
    """The revisions of a record."""
    added = {stage.revision: stage.examples.tolist() for stage in adaptation.stages}
    revisions = [
        schemas.RevisionView(
            revision=each.number,
            change=each.change.value,
            support_size=each.support_size,
            model_digest=each.digest,
            at=time(each.at),
            added=added.get(each.number, []),
            forgotten=UNSET if each.forgotten is None else each.forgotten,
        )
        for each in adaptation.history
    ]
    return schemas.History(adaptation_id=adaptation.id, revisions=revisions)


def support(adaptation: Adaptation) -> schemas.SupportView:
    """The examples of a record."""
    view = schemas.SupportView(
        adaptation_id=adaptation.id, revision=adaptation.revision, examples=adaptation.numbers.tolist()
    )
    if adaptation.staged:
        view.episodes = [_episode(stage, number) for stage in adaptation.stages for number in stage.examples]
    else:
        task = adaptation.task
        view.inputs, view.targets = task.inputs, task.targets.tolist() if task.classes else task.targets
    return view


def _episode(stage: Stage, number: int) -> schemas.EpisodeView:
    """An episode of a stage."""
    rows = stage.numbers == number
    actions, rewards, propensities = np.split(stage.targets[rows], [-2, -1], axis=1)
    if actions.shape[1] == 1:
        actions = actions[:, 0]
        actions = actions.astype(np.int64) if (actions == np.floor(actions)).all() else actions
    return schemas.EpisodeView(
        stage=stage.revision,
        observations=stage.inputs[rows],
        actions=actions,
        rewards=_told(rewards),
        propensities=_told(propensities),
    )


def _told(column: np.ndarray) -> np.ndarray | UnsetType:
    """One number a decision, or nothing where none was told."""
    return UNSET if np.isnan(column[0, 0]) else column[:, 0]


def page(adaptations: Sequence[Adaptation], limit: int) -> schemas.AdaptationList:
    """A page of records; where there are more than `limit`, those are cut off, with a cursor to go on from."""
    shown = [adapted(each) for each in adaptations[:limit]]
    more = adaptations[limit - 1].id if len(adaptations) > limit else UNSET
    return schemas.AdaptationList(adaptations=shown, next=more)


def predicted(answer: Answer) -> schemas.PredictResponse:
    """Predictions as the client sees them."""
    question, outcome = answer.question, answer.adapted if answer.question.adaptation is None else None
    predicted = answer.predicted
    return schemas.PredictResponse(
        predictions=predicted.predictions,
        model=question.model.bundle.name,
        model_digest=question.model.digest,
        adaptation_id=UNSET if question.adaptation is None else question.adaptation.id,
        revision=UNSET if question.adaptation is None else question.adaptation.revision,
        losses=UNSET if outcome is None else losses(outcome.losses),
        status=UNSET if outcome is None else outcome.status.name,
        labels=UNSET if predicted.labels is None else predicted.labels,
        probabilities=UNSET if predicted.probabilities is None else predicted.probabilities,
        unlike=UNSET if predicted.unlike is None else predicted.unlike,
        lower=UNSET if predicted.lower is None else predicted.lower,
        upper=UNSET if predicted.upper is None else predicted.upper,
        std=UNSET if predicted.std is None else predicted.std,
        mean=UNSET if predicted.mean is None else predicted.mean,
    )


def losses(values: Sequence[float]) -> np.ndarray:
    """Losses as they are written: float32, null where not finite."""
    return np.array(values, np.float32)


def time(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC."""
    milliseconds = round(seconds * 1000)
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    """Many answers are of one second: this is most of the work of writing a time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _common(model: Model) -> dict[str, Any]:
    manifest = model.bundle.manifest
    calibration = manifest.calibration
    return {
        "name": model.bundle.name,
        "digest": model.digest,
        "family": UNSET if manifest.family is None else manifest.family.name,
        "kind": manifest.kind,
        "algorithm": manifest.algorithm,
        "features": manifest.schema.features,
        "targets": manifest.schema.targets,
        "shape": list(manifest.schema.shape) or UNSET,
        "max_classes": model.max_classes or UNSET,
        "image": manifest.schema.image or UNSET,
        "actions": UNSET
        if manifest.schema.actions is None
        else _space(manifest.schema.actions, manifest.schema.targets),
        "intervals": [calibration.levels[0], calibration.levels[-1]] if calibration.has_intervals else UNSET,
        "inner_loop": schemas.InnerLoopBounds(**asdict(manifest.inner_loop)),
        "compiled": model.compiled,
    }


def _space(actions: Actions, targets: int) -> schemas.ActionSpace:
    """What an action is."""
    if actions.is_box:
        return schemas.ActionSpace(form="box", low=list(actions.low), high=list(actions.high))
    return schemas.ActionSpace(form="discrete", count=targets)


def summary(model: Model) -> schemas.ModelSummary:
    """A bundle in a list."""
    return schemas.ModelSummary(**_common(model))


def detail(model: Model) -> schemas.ModelDetail:
    """A bundle alone."""
    manifest = model.bundle.manifest
    return schemas.ModelDetail(
        **_common(model),
        family_options=UNSET if manifest.family is None else dict(manifest.family.options),
        evaluation=dict(manifest.evaluation),
        training=dict(manifest.training),
    )


def refused(name: str, error: BundleError) -> schemas.RefusedBundle:
    """A bundle that does not serve. Its file is named from the models folder on."""
    return schemas.RefusedBundle(name=name, file=f"{name}/{error.file.name}", reason=error.reason)
