"""Lets schemathesis send msgpack, and no NDJSON (test_openapi.py)."""

from typing import Any

import msgspec
import schemathesis


@schemathesis.serializer("application/msgpack")
def msgpack(context: Any, value: Any) -> bytes:
    """Encode a body; write what msgpack lacks as a string."""
    return msgspec.msgpack.encode(in_bounds(value), enc_hook=str)


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Leave NDJSON out: its answer is always 200, with the problem of each wrong line, so no wrong body is refused."""
    for path in ("/adapt", "/predict"):
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
