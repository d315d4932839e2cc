"""The bodies of requests: read, decoded, and held against the bundle that they name.

Whatever a client can get wrong in a body is refused here or in the codec, with its place and the cure.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from fastapi import Request
from msgspec import UNSET, UnsetType
from starlette.requests import ClientDisconnect

from app.api import schemas
from app.api.codec import JSON, MSGPACK, NDJSON, Codec, inputs, labels, numbers
from app.api.connection import Client
from app.api.episodes import episodes
from app.api.state import ServerState
from app.errors import BodyTooLarge, Invalid, UnsupportedMedia
from app.service.commands import AdaptCommand, PredictCommand, check_classes, settings
from app.service.cross_validation import Method
from app.service.model import Model
from app.service.outputs import KINDS, PredictOptions
from app.service.record import InnerLoopSettings, SupportSet
from app.service.task import Task, distinct_labels

CODECS: Mapping[str, Codec] = {codec.media: codec for codec in (JSON, MSGPACK)}


class Sent(NamedTuple):
    """A request with its body read.

    codec, answer: the forms of the body and of the answer
    lines: whether the body is many bodies, a line each
    stream: whether the client wants events
    """

    body: bytes
    client: Client
    codec: Codec
    answer: Codec
    lines: bool = False
    stream: bool = False


async def read(request: Request, limit: int, lines: bool = False) -> Sent:
    """Read a request. Raises UnsupportedMedia, and BodyTooLarge as soon as it is over the limit, bytes.

    lines: whether application/x-ndjson is taken
    """
    headers = dict(request.scope["headers"])
    forms = _forms(headers.get(b"content-type", b"none"), headers.get(b"accept", b""), lines)
    body = await _content(request, headers.get(b"content-length", b""), limit)
    return Sent(body, Client.of(headers, request.receive), *forms)


class _Forms(NamedTuple):
    """What the headers of a request say of bodies: the last four of `Sent`."""

    codec: Codec
    answer: Codec
    lines: bool
    stream: bool


@lru_cache(maxsize=64)
def _forms(content_type: bytes, accept: bytes, lines: bool) -> _Forms:
    """Clients send the same ones again and again. Raises UnsupportedMedia."""
    declared, accepted = content_type.decode("latin-1"), accept.decode("latin-1")
    media = declared.partition(";")[0].strip().lower()
    codec = JSON if lines and media == NDJSON else CODECS.get(media)
    if codec is None:
        takes = ", ".join([*CODECS, *([NDJSON] if lines else [])])
        raise UnsupportedMedia(f"the content type is {declared}; send one of {takes}")
    wished = [each for each in CODECS.values() if each.media in accepted]
    answer = min(wished, key=lambda each: accepted.index(each.media)) if wished else codec
    return _Forms(codec, answer, media == NDJSON, "text/event-stream" in accepted)


async def _content(request: Request, declared: bytes, limit: int) -> bytes:
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    parts, size, more = [], 0, True
    while more:
        # as `request.stream` does, in a third of its 25 us
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False)
        if size > limit:
            raise _too_large(limit)
    return b"".join(parts)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is over {limit} bytes; send fewer examples or queries at a time")


def wanted(sent: Sent, server: ServerState) -> AdaptCommand:
    """The adaptation that a body of POST /adapt asks for."""
    asked = sent.codec.decode(sent.body, schemas.AdaptRequest)
    model = server.adaptations.named(asked.model)
    ttl_s = None if asked.ttl_s is UNSET else asked.ttl_s
    if ttl_s is not None and ttl_s > server.limits.ttl:
        raise Invalid(f"at most {server.limits.ttl} seconds, got {ttl_s}", "ttl_s")
    if asked.assess is not UNSET and KINDS[model.bundle.manifest.kind].staged:
        raise Invalid("an adaptation to episodes cannot be assessed: leave assess out", "assess")
    return AdaptCommand(
        owner=sent.client.owner,
        model=model,
        examples=examples(model, asked.support, "support.", server),
        asked=settings_asked(model, asked.steps, asked.learning_rate),
        ttl_s=ttl_s,
        label=None if asked.label is UNSET else asked.label,
        pinned=None if asked.pinned is UNSET else asked.pinned,
        assess=None if asked.assess is UNSET else Method[asked.assess],
        key=sent.client.key,
        reuse=asked.reuse,
    )


async def question(sent: Sent, server: ServerState) -> PredictCommand:
    """What a body of POST /predict asks, in any of its three forms."""
    asked = sent.codec.decode(sent.body, schemas.PredictRequest)
    if (asked.adaptation_id is UNSET) == (asked.model is UNSET):
        raise Invalid("exactly one of adaptation_id and model is expected")
    if asked.support is UNSET and not (asked.steps is UNSET and asked.learning_rate is UNSET):
        raise Invalid("steps and learning_rate belong to a support set to adapt to: send one, or leave them out")
    interval = None if asked.interval is UNSET else asked.interval
    wishes = PredictOptions(interval, asked.sample, None if asked.seed is UNSET else asked.seed)
    if asked.adaptation_id is not UNSET:
        if asked.support is not UNSET:
            raise Invalid("an adaptation has its support set already: send adaptation_id or support, not both")
        pinned = None if asked.pinned is UNSET else asked.pinned
        adaptation, model = await server.adaptations.current(
            sent.client.owner, asked.adaptation_id, pinned, sent.client
        )
        check_wishes(model, wishes, adaptation.task)
        return PredictCommand(model, queries(model, asked.queries), adaptation=adaptation, wishes=wishes)
    if asked.pinned is not UNSET:
        raise Invalid("only an adaptation can be pinned: send adaptation_id, or leave pinned out", "pinned")
    assert asked.model is not UNSET, "one of the two was given"
    model = server.adaptations.named(asked.model)
    rows_asked = queries(model, asked.queries)
    if asked.support is UNSET:
        if KINDS[model.bundle.manifest.kind].labels:
            raise Invalid(f"{model.bundle.name} alone knows no classes: send a support set that has them", "model")
        if interval is not None:
            raise Invalid("intervals are known of adaptations: send a support set, or leave it out", "interval")
        check_sampling(model, wishes)
        return PredictCommand(model, rows_asked, wishes=wishes)
    inputs, targets, of = examples(model, asked.support, "support.", server)
    steps, rate = settings(settings_asked(model, asked.steps, asked.learning_rate), model)
    task = Task(inputs, targets, steps, rate, of)
    check_wishes(model, wishes, task)
    return PredictCommand(model, rows_asked, task, wishes=wishes)


def examples(model: Model, support: schemas.Support, place: str, server: ServerState) -> SupportSet:
    """A support set as arrays, in the form of the model's kind. Raises Invalid."""
    manifest = model.bundle.manifest
    if KINDS[manifest.kind].staged:
        if support.episodes is UNSET or support.inputs is not UNSET or support.targets is not UNSET:
            raise _mistaken(model, support, place.rstrip("."))
        return episodes(support.episodes, manifest.schema, f"{place}episodes", server.limits.support)
    if support.inputs is UNSET or support.targets is UNSET or support.episodes is not UNSET:
        raise _mistaken(model, support, place.rstrip("."))
    sent = (support.inputs, support.targets)
    counts = [each.shape[0] if isinstance(each, schemas.RawArray) else len(each) for each in sent]
    if counts[0] != counts[1]:
        raise Invalid(f"{counts[0]} inputs but {counts[1]} targets", place.rstrip("."))
    if counts[0] > server.limits.support:
        raise Invalid(f"at most {server.limits.support} examples, got {counts[0]}", place.rstrip("."))
    found, at = inputs(support.inputs, manifest.schema, f"{place}inputs"), f"{place}targets"
    if KINDS[manifest.kind].labels:
        targets = labels(support.targets, at)
        check_classes(distinct_labels(targets), model, at)
    else:
        targets = numbers(support.targets, manifest.schema.targets, at)
    return SupportSet(found, targets)


def _mistaken(model: Model, support: schemas.Support, place: str) -> Invalid:
    """What is wrong with a support set that has not what the model's kind has."""
    staged = KINDS[model.bundle.manifest.kind].staged
    given = {"inputs": support.inputs, "targets": support.targets, "episodes": support.episodes}
    needed = ("episodes",) if staged else ("inputs", "targets")
    if extra := [name for name, value in given.items() if name not in needed and value is not UNSET]:
        return Invalid(f"{model.bundle.name} takes {' and '.join(needed)}: leave {' and '.join(extra)} out", place)
    missing = next(name for name in needed if given[name] is UNSET)
    return Invalid(f"object missing required field `{missing}`", place)


def settings_asked(model: Model, steps: int | UnsetType, learning_rate: float | UnsetType) -> InnerLoopSettings:
    """The settings of a request, inside the bundle's bounds. Raises Invalid."""
    bounds, algorithm = model.bundle.manifest.inner_loop, model.bundle.algorithm
    if algorithm.closed_form and steps not in (UNSET, bounds.steps):
        raise Invalid(f"{model.bundle.name} is solved in one step, got {steps}: leave steps out", "steps")
    if learning_rate is not UNSET and (algorithm.closed_form or algorithm.learned_rate):
        what = "is solved in closed form" if algorithm.closed_form else "has learned its rates"
        raise Invalid(f"{model.bundle.name} {what}, and takes no rate: leave learning_rate out", "learning_rate")
    if steps is not UNSET and steps > bounds.max_steps:
        raise Invalid(f"{model.bundle.name} takes 0 to {bounds.max_steps} steps, got {steps}", "steps")
    if learning_rate is not UNSET and learning_rate > bounds.max_learning_rate:
        most = f"{bounds.max_learning_rate:g}"
        raise Invalid(f"{model.bundle.name} takes a rate above 0 up to {most}, got {learning_rate:g}", "learning_rate")
    return InnerLoopSettings(None if steps is UNSET else steps, None if learning_rate is UNSET else learning_rate)


def check_sampling(model: Model, wishes: PredictOptions) -> None:
    """Raises Invalid where actions are to be drawn and there are none."""
    if wishes.seed is not None and not wishes.sample:
        raise Invalid("a seed is of draws: send sample too, or leave it out", "seed")
    if wishes.sample and model.bundle.manifest.schema.actions is None:
        raise Invalid(f"{model.bundle.name} does not decide: leave sample out", "sample")


def check_wishes(model: Model, wishes: PredictOptions, task: Task) -> None:
    """Raises Invalid for what the bundle does not know, or not for such a task."""
    check_sampling(model, wishes)
    check_interval(model, wishes.interval, task)


def check_interval(model: Model, interval: float | None, task: Task) -> None:
    """Raises Invalid for an interval that the bundle does not know, or not for such a task."""
    if interval is None:
        return
    calibration, bounds, name = model.bundle.manifest.calibration, model.bundle.manifest.inner_loop, model.bundle.name
    if not calibration.has_intervals:
        raise Invalid(f"{name} knows no intervals: leave it out, or calibrate the bundle", "interval")
    if not calibration.levels[0] <= interval <= calibration.levels[-1]:
        known = f"{calibration.levels[0]:g} to {calibration.levels[-1]:g}"
        raise Invalid(f"{name} knows intervals for shares from {known}, got {interval:g}", "interval")
    if len(task.inputs) < calibration.shots[0]:
        raise Invalid(f"{name} knows intervals from {calibration.shots[0]} support examples on: send more", "interval")
    if (task.steps, task.learning_rate) != (bounds.steps, bounds.learning_rate):
        usual = f"{bounds.steps} steps at the rate {bounds.learning_rate:g}"
        raise Invalid(f"intervals are known after {name}'s own {usual} alone: adapt with those", "interval")


def queries(model: Model, asked: schemas.Inputs | schemas.RawArray) -> np.ndarray:
    """Queries as an array [query, feature]. Raises Invalid."""
    return inputs(asked, model.bundle.manifest.schema, "queries")
