"""Lets schemathesis write and read msgpack, send no NDJSON, and adapt successfully (test_openapi.py)."""

import base64
import math
from typing import Any

import msgspec
import numpy as np
import schemathesis
from hypothesis import strategies
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.openapi.checks import RejectedPositiveData

from app.api import openapi_examples as examples
from app.api.schemas import AdaptRequest

CSV_UNREAD = ("text/csv", 400)
UNKNOWN_HEADER = "x-schemathesis-unknown-property"


@schemathesis.serializer("application/msgpack")
def msgpack(context: Any, value: Any) -> bytes:
    """Encode a body; write what msgpack lacks as a string."""
    return msgspec.msgpack.encode(in_bounds(value), enc_hook=str)


@schemathesis.deserializer("application/msgpack")
def read_msgpack(context: Any, response: Any) -> Any:
    """Decode an answer. Its arrays are those that the schema describes: only msgpack sends them as bytes."""
    return as_json(msgspec.msgpack.decode(response.content))


@schemathesis.hook
def flatmap_case(context: Any, case: Any) -> strategies.SearchStrategy[Any]:
    """Adapt by every other valid request, so that there are adaptations: few that fit the schema fit a model too."""
    if case.operation.label != "POST /adapt" or not case.meta.generation.mode.is_positive:
        return strategies.just(case)

    def adapting(adapts: bool) -> Any:
        if adapts and case.media_type == "text/csv":
            case.body, case.query = examples.CSV_TEXTS[AdaptRequest], {"model": examples.MODEL}
        elif adapts:
            case.body = examples.ADAPT
        return case

    return strategies.booleans().map(adapting)


@schemathesis.hook
def filter_failure(context: Any, failure: Failure, case: Any, response: Any) -> bool:
    """Allow a 400 to a CSV, which is any text to the document: quotes may be open and lines too long.

    Allow success with a header that the document does not have, too: HTTP lets clients and proxies add headers.
    """
    if isinstance(failure, AcceptedNegativeData) and UNKNOWN_HEADER in (case.headers or {}):
        return False
    return not (isinstance(failure, RejectedPositiveData) and (case.media_type, response.status_code) == CSV_UNREAD)


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Leave NDJSON out: its answer is always 200, with the problem of each wrong line, so no wrong body is refused."""
    for path in ("/adapt", "/predict", "/propose"):
        del raw_schema["paths"][path]["post"]["requestBody"]["content"]["application/x-ndjson"]


def in_bounds(value: Any) -> Any:
    """Replace each integer by the nearest one of 64 bits, because msgpack has no larger ones."""
    match value:
        case dict():
            return {key: in_bounds(each) for key, each in value.items()}
        case list():
            return [in_bounds(each) for each in value]
        case int() if not isinstance(value, bool):
            return max(-(2**63), min(value, 2**64 - 1))
        case _:
            return value


def as_json(value: Any) -> Any:
    """Write each array in a decoded answer as nested lists, with null for NaN, and other bytes as base64."""
    match value:
        case {"shape": shape, "data": bytes(data), "dtype": dtype}:
            return as_json(np.frombuffer(data, dtype).reshape(shape).tolist())
        case dict():
            return {key: as_json(each) for key, each in value.items()}
        case list():
            return [as_json(each) for each in value]
        case bytes():
            return base64.b64encode(value).decode()
        case float() if not math.isfinite(value):
            return None
        case _:
            return value
