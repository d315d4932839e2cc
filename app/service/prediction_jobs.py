"""The job that answers queries, and the check of its result."""

from collections.abc import Hashable

import numpy as np

from app.bundles.manifest import Manifest
from app.errors import Invalid
from app.service.commands import PredictCommand
from app.service.diverged_error import check_usable
from app.service.job import INITIAL, Job, Result


def query_job(command: PredictCommand, manifest: Manifest, features: bool = False, place: str = "queries") -> Job:
    """The job that answers the queries of a command.

    manifest: of its model
    features, place: as in a `Job`
    """
    adaptation, task = command.adaptation, command.task
    if adaptation is not None:
        key: Hashable = (adaptation.id, adaptation.revision)
        task = adaptation.task
    else:
        key = INITIAL if task is None else object()
    return Job(
        command.model,
        key,
        task,
        command.queries,
        keep=adaptation is not None,
        reference=manifest.ood_reference if manifest.calibration.has_distances else None,
        similar=manifest.calibration.has_similarity and task is not None,
        features=features and task is not None,
        place=place,
    )


def checked_predictions(result: Result, command: PredictCommand, place: str = "queries") -> np.ndarray:
    """The outputs of the network for the queries of a command, [query, output].

    Raises Diverged, and Invalid at the first query whose prediction is not finite. place: of the queries
    """
    if result.adapted is not None:
        check_usable(result.adapted, command.model, stored=command.adaptation is not None)
    predictions = result.predictions
    assert predictions is not None, "a job with queries that has not diverged has predictions"
    if not result.finite and not np.isfinite(predictions).all():
        bad = np.flatnonzero(~np.isfinite(predictions).all(axis=1))[0]
        raise Invalid(
            f"{place}[{bad}]",
            "an input with a finite prediction in float32",
            "one whose prediction is not finite",
            "send a smaller input",
        )
    return predictions
