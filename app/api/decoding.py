"""Decoding of bodies, with errors in the words of the model: what it takes as an input, a target or an action.

The wire allows what any model takes, so msgspec cannot tell that a classifier expects a label, or an image of 28 x 28.
Only bodies that are refused come here.
"""

import math
import re
from typing import Any, TypeVar

import msgspec

from app.api.arrays import expected_row, many
from app.api.codec import MSGPACK
from app.api.decode_errors import MISSING, QUOTED, UNQUOTED, described, value_at
from app.api.large_bodies import SMALL
from app.api.requests import IncomingRequest
from app.api.state import ServerState
from app.bundles import Schema
from app.errors import Invalid, RequestError
from app.service.answers import KINDS
from app.service.decisions import action_columns
from app.service.model import Model

T = TypeVar("T")
_ROW = re.compile(r"(.*\b(?:inputs|queries|observations)\[\d+\])(?:\[(\d+)\])?(.*)")
_TARGET = re.compile(r"(.*\b(?:targets|actions)\[\d+\])(.*)")


class _Names(msgspec.Struct):
    """What names the model in a body."""

    model: str = ""
    adaptation_id: str = ""


async def decode(request: IncomingRequest, form: type[T], server: ServerState, adaptation_id: str = "") -> T:
    """The body of a request as `form`.

    adaptation_id: of the adaptation that the request is about, where the body does not say it

    Raises Malformed; and Invalid, in the words of the model where it is known and the body is small.
    """
    if len(request.body) > SMALL:  # to read it again for the words of the model would take too long
        return await server.large_bodies.decode(request, form)
    try:
        return request.decode(form)
    except Invalid as error:
        raise _for_model(error, request, await _model(request, server, adaptation_id)) from error


async def _model(request: IncomingRequest, server: ServerState, adaptation_id: str) -> Model | None:
    """The model that a body names, itself or by an adaptation; None where there is none."""
    names = _names(request)
    if not (owned := adaptation_id or names.adaptation_id):
        return server.catalogue.models.get(names.model)
    try:
        return server.adaptations.model_of(await server.adaptations.get(request.client.owner, owned))
    except RequestError:
        return None


def _names(request: IncomingRequest) -> _Names:
    try:
        names: _Names = request.media.codec.decoder(request.body, type=_Names)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Names()
    return names


def _for_model(error: Invalid, request: IncomingRequest, model: Model | None) -> Invalid:
    """The error in the words of a model; the same where it needs none."""
    if model is None:
        return error
    manifest, codec = model.bundle.manifest, request.media.codec
    if row := _ROW.fullmatch(error.place):
        value = value_at(request.body, row[1], codec.decoder)
        if value is MISSING:
            return error
        return _input_error(error, row, manifest.schema, value, codec is MSGPACK)
    if target := _TARGET.fullmatch(error.place):
        value = value_at(request.body, target[1], codec.decoder)
        if value is MISSING:
            return error
        if KINDS[manifest.kind].labels:
            return Invalid(target[1], "a label", _kind_of(value), QUOTED)
        width = manifest.schema.targets if manifest.schema.actions is None else action_columns(manifest.schema)
        if not isinstance(value, list):
            fix = UNQUOTED if isinstance(value, str) else ""
            return Invalid(target[1], many(width) if width > 1 else "a number", _kind_of(value), fix)
    return error


def _input_error(error: Invalid, row: re.Match[str], schema: Schema, value: Any, binary: bool) -> Invalid:
    """The error of an input."""
    if schema.shape:
        form, fix = expected_row(schema), ""
        if schema.image and isinstance(value, str):
            form = form.replace("a PNG", "a PNG as bytes" if binary else "a PNG in base64")
            fix = "" if binary else "send the base64 alone, without `data:` before it"
        actual = described(value) if isinstance(value, str) else _kind_of(value)
        if isinstance(value, list) and (odd := _odd_one(value)) is not MISSING:
            actual = f"an array with {_kind_of(odd)}"
        return Invalid(row[1], form, actual, fix)
    if not isinstance(value, list):
        return Invalid(row[1], f"an array of {many(schema.features)}", _kind_of(value))
    return Invalid(f"{row[1]}[{row[2]}]", "a number", "an array") if row[3] else error


def _odd_one(value: Any) -> Any:
    """The first part of nested arrays that is no finite number; MISSING where there is none."""
    if not isinstance(value, list):
        return MISSING if isinstance(value, int | float) and not isinstance(value, bool) and value < math.inf else value
    odd = (each for each in map(_odd_one, value) if each is not MISSING)
    return next(odd, MISSING)


def _kind_of(value: Any) -> str:
    """A value as the words after "got", without its content."""
    match value:
        case str():
            return "a string"
        case int() | float() if not isinstance(value, bool) and value < math.inf:
            return "a number"
    return described(value)
