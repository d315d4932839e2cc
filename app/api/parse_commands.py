"""Bodies to commands, for the model that they name.

A value of the wrong form is refused in `codec` and `support`, and what the model does not allow in
`app.service.request_checks`.
"""

import re

import numpy as np
from msgspec import UNSET

from app.api import schemas
from app.api.bundle_columns import describe_targets
from app.api.csv_table import CsvBody, CsvTable
from app.api.dependencies import Limits
from app.api.http_caller import Client
from app.api.parameter_patterns import DIGEST
from app.api.read_arrays import Values, read_queries, read_weights
from app.api.support import read_support
from app.errors import Invalid, shown
from app.service.answers import DEFAULT_OPTIONS, PredictOptions
from app.service.commands import (
    AdaptCommand,
    EditCommand,
    Goal,
    PredictCommand,
    ProposeCommand,
    check_version,
    names_count,
    task_of,
)
from app.service.cross_validation import Method
from app.service.inner_loop_checks import check_inner_loop
from app.service.model import Model
from app.service.proposal_checks import check_count, check_has_rows, check_says_how_sure, find_target
from app.service.record import Adaptation, InnerLoopSettings
from app.service.request_checks import (
    check_assessment,
    check_initialization,
    check_options,
    check_ttl,
)
from app.service.support_set import SupportSet
from app.service.task import Task


def adapt_command(body: schemas.AdaptRequest, model: Model, client: Client, limits: Limits) -> AdaptCommand:
    """The command of POST /adapt for the model that it names. Raises Invalid, and OtherVersion."""
    ttl_s, settings = None if body.ttl_s is UNSET else body.ttl_s, _settings(body)
    assess, version = None if body.assess is UNSET else Method[body.assess], version_of(body)
    try:
        check_ttl(ttl_s, limits.ttl)
        check_assessment(model, assess)
        check_inner_loop(model, settings)
        support = _read_support(body.support, model, limits, client.owner, settings)
    except Invalid:
        check_version(model, version)  # OtherVersion comes first: that version may take the request
        raise
    return AdaptCommand(
        owner=client.owner,
        model=model,
        support=support,
        settings=settings,
        ttl_s=ttl_s,
        label=None if body.label is UNSET else body.label,
        pinned=None if body.pinned is UNSET else body.pinned,
        assess=assess,
        key=client.key,
        reuse=body.reuse,
        version=version,
    )


def edit_command(body: schemas.EditRequest, limits: Limits) -> EditCommand:
    """The command of PATCH /adaptations/{id}. Raises Invalid."""
    if body.label is UNSET and body.ttl_s is UNSET:
        raise Invalid("", "label or ttl_s", "neither", "send what is to change")
    relabel, ttl_s = body.label is not UNSET, None if body.ttl_s is UNSET else body.ttl_s
    check_ttl(ttl_s, limits.ttl)
    return EditCommand(relabel, body.label or None, ttl_s)


def check_source_fields(body: schemas.PredictRequest | schemas.ProposeRequest) -> None:
    """The fields of POST /predict or POST /propose fit one of their three forms. Raises Invalid."""
    if (body.adaptation_id is UNSET) == (body.model is UNSET):
        actual = "neither" if body.model is UNSET else "both"
        fix = "send adaptation_id for a stored adaptation, or model to adapt in this request"
        raise Invalid("", "exactly one of adaptation_id and model", actual, fix)
    if body.adaptation_id is not UNSET and body.support is not UNSET:
        raise Invalid.unusable("support", "the adaptation has its support set already, so leave support out")
    settings = ("steps", body.steps), ("learning_rate", body.learning_rate), ("label_names", body.label_names)
    for name, value in settings:
        if body.support is UNSET and value is not UNSET:
            sentence = f"there is nothing to adapt to, so send support, or leave {name} out"
            if body.adaptation_id is not UNSET:
                sentence = f"the adaptation has its own {name}, so leave it out"
            raise Invalid.unusable(name, sentence)
    if body.model is not UNSET and body.pinned is not UNSET:
        raise Invalid.unusable("pinned", "this needs adaptation_id, so send it instead of model, or leave pinned out")


def version_of(
    body: schemas.AdaptRequest | schemas.MoreSupport | schemas.PredictRequest | schemas.ProposeRequest,
) -> str | None:
    """The version of the model that a body is for; None for any. Raises Invalid for what is no digest."""
    version = None if body.model_digest is UNSET else body.model_digest
    if version is not None and not re.fullmatch(DIGEST, version):
        fix = "send the digest that GET /models/{name} has, or leave it out"
        raise Invalid("model_digest", "64 hexadecimal digits in small letters", shown(version), fix)
    return version


def predict_command(
    body: schemas.PredictRequest, model: Model, adaptation: Adaptation | None, limits: Limits, owner: str
) -> PredictCommand:
    """The command of POST /predict for the model that answers it, and for its adaptation. Raises Invalid."""
    options = _options(body)
    if adaptation is None and body.support is UNSET:
        check_initialization(model, options)
    task = _task(body, model, adaptation, limits, owner)
    if options is not DEFAULT_OPTIONS:
        check_options(model, options, task)
    queries = _queries(body.queries, model, "queries")
    counted = adaptation is None or model.bundle.manifest.calibration.has_similarity
    numbers = _example_numbers(body, adaptation) if counted else None
    return PredictCommand(model, queries, None if adaptation is not None else task, adaptation, options, numbers)


def propose_command(
    body: schemas.ProposeRequest, model: Model, adaptation: Adaptation | None, limits: Limits, owner: str
) -> ProposeCommand:
    """The command of POST /propose for the model that chooses, and for its adaptation. Raises Invalid."""
    goal, source = Goal[body.goal], "model" if adaptation is None else "adaptation_id"
    manifest = model.bundle.manifest
    check_has_rows(model, source)
    if adaptation is None and body.support is UNSET:
        check_initialization(model, DEFAULT_OPTIONS)
    task = _task(body, model, adaptation, limits, owner)
    check_says_how_sure(model, goal, task, source)
    names = [column["name"] for column in describe_targets(manifest)]
    wanted = None if body.target is UNSET else body.target
    target = find_target(wanted, goal, () if task is None else task.classes, names, manifest.kind)
    posted = _queries(body.candidates, model, "candidates")
    check_count(body.count, len(posted))
    is_encoded = posted.dtype != object
    candidates = posted if is_encoded else model.bundle.encoder.encode(posted.tolist())
    numbers = _example_numbers(body, adaptation)
    predict = PredictCommand(model, candidates, None if adaptation is not None else task, adaptation, examples=numbers)
    return ProposeCommand(predict, body.count, goal, target, posted)


def _example_numbers(
    body: schemas.PredictRequest | schemas.ProposeRequest, adaptation: Adaptation | None
) -> np.ndarray | None:
    """The number of each example of the task; None where they are counted from 0. Those of weight 0 are in no task."""
    if adaptation is not None:
        weights = adaptation.weights
        return adaptation.numbers if weights is None else adaptation.numbers[weights > 0]
    if body.support is UNSET or body.support.weights is UNSET:
        return None
    return np.flatnonzero(read_weights(body.support.weights, "support.weights"))


def _task(
    body: schemas.PredictRequest | schemas.ProposeRequest,
    model: Model,
    adaptation: Adaptation | None,
    limits: Limits,
    owner: str,
) -> Task | None:
    """The task that answers: of the adaptation, or of a support set; None for the initialization. Raises Invalid."""
    if body.support is UNSET:
        return None if adaptation is None else adaptation.task
    settings = _settings(body)
    check_inner_loop(model, settings)
    return task_of(model, _read_support(body.support, model, limits, owner, settings), settings)


def _read_support(
    support: schemas.Support, model: Model, limits: Limits, owner: str, settings: InnerLoopSettings
) -> SupportSet:
    """A posted support set as arrays; its owner where the worker encodes it later. Raises Invalid."""
    arrays = read_support(support, model, limits.support, names_count=names_count(settings, model))
    return arrays._replace(kept_by=owner) if model.bundle.encoder.encodes_later else arrays


def _queries(values: Values | CsvBody, model: Model, place: str) -> np.ndarray:
    """Posted inputs as float32 [row, feature], or what is encoded later (`read_queries`). Raises Invalid."""
    if isinstance(values, CsvBody):
        return CsvTable(values, model.bundle, with_targets=False).queries()
    return read_queries(values, model.bundle.encoder, place)


def _options(body: schemas.PredictRequest) -> PredictOptions:
    """How the queries of a body are to be answered; `DEFAULT_OPTIONS` itself where it does not say."""
    if body.interval is UNSET and body.seed is UNSET and not body.sample:
        return DEFAULT_OPTIONS
    interval, seed = None if body.interval is UNSET else body.interval, None if body.seed is UNSET else body.seed
    return PredictOptions(interval, body.sample, seed)


def _settings(body: schemas.AdaptRequest | schemas.PredictRequest | schemas.ProposeRequest) -> InnerLoopSettings:
    """The steps and the rate of a body; None where one was left out."""
    return InnerLoopSettings(
        None if body.steps is UNSET else body.steps,
        None if body.learning_rate is UNSET else body.learning_rate,
        None if body.label_names is UNSET else body.label_names,
    )
