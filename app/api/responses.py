"""Responses: records, results and bundles as a client sees them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from msgspec import UNSET

from app.api import schemas
from app.api.bundle_columns import describe_inputs, describe_targets
from app.api.model_example import example_request
from app.bundles.manifest import Manifest
from app.errors import BundleError
from app.service.commands import PredictResult, Proposal, ProposeResult
from app.service.model import Model
from app.service.record import Adaptation, Change


def adapt_response(adaptation: Adaptation, cut: Sequence[int] = ()) -> schemas.AdaptResponse:
    """A record as POST /adapt shows it. cut: the numbers of the examples of which only the beginning is encoded"""
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
        losses=losses_array(adaptation.losses),
        status=adaptation.status.word,
        message=adaptation.status.sentence,
        created_at=time(adaptation.created_at),
        expires_at=time(adaptation.expires_at),
        label=UNSET if adaptation.label is None else adaptation.label,
        labels=adaptation.labels or UNSET,
        label_names=adaptation.label_names or UNSET,
        pinned=adaptation.pinned or UNSET,
        quality=UNSET if adaptation.quality is None else schemas.Quality(**adaptation.quality),
        lineage=lineage or UNSET,
        cut_examples=cut or UNSET,
    )


def change_response(adaptation: Adaptation, cut: Sequence[int] = ()) -> schemas.AdaptResponse:
    """A record after `forget` or `undo`, with what that changed. cut: as for `adapt_response`"""
    response = adapt_response(adaptation, cut)
    response.change = _change_in_words(adaptation)
    return response


def _change_in_words(adaptation: Adaptation) -> str:
    """What the last `forget` or `undo` changed."""
    before, last = next(
        pair for pair in pairwise(reversed(adaptation.history)) if pair[0].change in (Change.forgot, Change.undone)
    )[::-1]
    what = "episode" if adaptation.staged else "example"
    if last.change is Change.forgot:
        return f"Deleted {what} {last.forgotten}: undo does not restore it."
    count = before.support_size - last.support_size
    if count == 0:
        return "Removed the labels that were added last."
    removed = f"the {what} that was" if count == 1 else f"the {count} {what}s that were"
    text = f"Removed {removed} added last."
    if any(each.change is Change.forgot for each in adaptation.history):
        text += f" Undo does not restore deleted {what}s."
    return text


def _lineage(adaptation: Adaptation) -> list[str]:
    """The digests of the bundles before the current one, oldest first."""
    if len(adaptation.history) == 1:
        return []
    digests = dict.fromkeys(revision.digest for revision in adaptation.history)
    return [digest for digest in digests if digest != adaptation.digest]


def history_response(adaptation: Adaptation) -> schemas.History:
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


def page_response(adaptations: Sequence[Adaptation], more: bool) -> schemas.AdaptationList:
    """A page of records; where there are more, it has a cursor to go on from."""
    shown = [adapt_response(each) for each in adaptations]
    return schemas.AdaptationList(adaptations=shown, next=adaptations[-1].id if more else UNSET)


def predict_response(result: PredictResult) -> schemas.PredictResponse:
    """Predictions, with the losses where the call adapted."""
    command, answer = result.command, result.answer
    adapted = result.adapted if command.adaptation is None else None
    return schemas.PredictResponse(
        predictions=answer.predictions,
        model=command.model.bundle.name,
        model_digest=command.model.digest,
        adaptation_id=UNSET if command.adaptation is None else command.adaptation.id,
        revision=UNSET if command.adaptation is None else command.adaptation.revision,
        losses=UNSET if adapted is None else losses_array(adapted.losses),
        status=UNSET if adapted is None else adapted.status.word,
        labels=UNSET if answer.labels is None else answer.labels,
        probabilities=UNSET if answer.probabilities is None else answer.probabilities,
        unlike=UNSET if answer.unlike is None else answer.unlike,
        lower=UNSET if answer.lower is None else answer.lower,
        upper=UNSET if answer.upper is None else answer.upper,
        similarity=UNSET if answer.similarity is None else answer.similarity,
        nearest_examples=UNSET if answer.nearest_examples is None else answer.nearest_examples,
        std=UNSET if answer.std is None else answer.std,
        mean=UNSET if answer.mean is None else answer.mean,
        cut_queries=result.cut.rows or UNSET,
        cut_examples=result.cut.examples or UNSET,
    )


def propose_response(result: ProposeResult) -> schemas.ProposeResponse:
    """Proposals, with the losses where the call adapted."""
    predict = result.command.predict
    adaptation, adapted = predict.adaptation, result.adapted
    return schemas.ProposeResponse(
        proposals=[_proposal(each) for each in result.proposals],
        model=predict.model.bundle.name,
        model_digest=predict.model.digest,
        adaptation_id=UNSET if adaptation is None else adaptation.id,
        revision=UNSET if adaptation is None else adaptation.revision,
        losses=UNSET if adapted is None or adaptation is not None else losses_array(adapted.losses),
        status=UNSET if adapted is None or adaptation is not None else adapted.status.word,
        cut_candidates=result.cut.rows or UNSET,
        cut_examples=result.cut.examples or UNSET,
    )


def _proposal(proposal: Proposal) -> schemas.Proposal:
    return schemas.Proposal(
        index=proposal.index,
        score=float(f"{proposal.score:.7g}"),
        prediction=proposal.prediction,
        std=UNSET if proposal.std is None else proposal.std,
        nearest_example=UNSET if proposal.nearest_example is None else proposal.nearest_example,
        unlike=UNSET if proposal.unlike is None else bool(proposal.unlike),
    )


def round_loss(loss: float) -> float:
    """A loss with no more digits than float32 has, as in `losses`."""
    return float(str(np.float32(loss)))


def losses_array(values: Sequence[float]) -> np.ndarray:
    """Losses as the wire has them: float32, null where not finite."""
    return np.array(values, np.float32)


def time(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC."""
    milliseconds = round(seconds * 1000)
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    """Cached: many answers fall into one second, and this is most of the work of writing a time."""
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
        "actions": UNSET if manifest.schema.actions is None else _space(manifest),
        "label_names": UNSET if manifest.label_names is None else manifest.label_names,
        "intervals": [calibration.levels[0], calibration.levels[-1]] if calibration.has_intervals else UNSET,
        "inner_loop": _bounds(model),
        "compiled": model.compiled,
    }


def _bounds(model: Model) -> schemas.InnerLoopBounds:
    """The steps and, if a request can set it, the learning rate."""
    bounds, takes_rate = model.bundle.manifest.inner_loop, model.bundle.algorithm.takes_rate
    return schemas.InnerLoopBounds(
        steps=bounds.steps,
        max_steps=bounds.max_steps,
        learning_rate=bounds.learning_rate if takes_rate else UNSET,
        max_learning_rate=bounds.max_learning_rate if takes_rate else UNSET,
    )


def _space(manifest: Manifest) -> schemas.ActionSpace:
    """What an action is."""
    actions, meanings = manifest.schema.actions, manifest.meanings
    assert actions is not None, "its presence was checked"
    if actions.is_box:
        space = schemas.ActionSpace(form="box", low=list(actions.low), high=list(actions.high))
    else:
        space = schemas.ActionSpace(form="discrete", count=manifest.schema.targets)
    if meanings is not None and meanings.actions:
        space.names = [each.name for each in meanings.actions]
        if actions.is_box:
            space.units = [each.unit or None for each in meanings.actions]
    return space


def model_summary(model: Model) -> schemas.ModelSummary:
    """A bundle in a list."""
    return schemas.ModelSummary(**_common(model))


def model_detail(model: Model) -> schemas.ModelDetail:
    """A bundle alone."""
    manifest = model.bundle.manifest
    return schemas.ModelDetail(
        **_common(model),
        inputs=describe_inputs(model.bundle),
        target_columns=describe_targets(manifest) or UNSET,
        example=example_request(model.bundle),
        family_options=UNSET if manifest.family is None else dict(manifest.family.options),
        evaluation=dict(manifest.evaluation),
        training=dict(manifest.training),
    )


def refused_bundle(name: str, error: BundleError) -> schemas.RefusedBundle:
    """A bundle that does not serve. Its file is named from the models folder on."""
    return schemas.RefusedBundle(name=name, file=f"{name}/{error.file.name}", reason=error.reason)
