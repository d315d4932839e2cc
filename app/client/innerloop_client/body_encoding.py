"""Bodies to bytes and back: JSON, or msgpack with raw arrays for what is large."""

import base64
import json
import sys
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

from innerloop_client import msgpack
from innerloop_client.arrays import Array
from innerloop_client.errors import UnsupportedInput
from innerloop_client.value_encoding import plain

JSON = "application/json"
NDJSON = "application/x-ndjson"
LARGE = 4000
"""From so many numbers on, an array is sent as raw bytes."""
HUGE = 10**4000
"""Python writes whole numbers of up to 4,300 digits."""
EXAMPLES = frozenset({"support", "queries", "candidates", "inputs", "targets", "weights", "labels", "episodes"})
"""The fields that `inputs` has read. All others are options."""

ARGUMENTS = {"inputs": "x", "targets": "y"}
"""The fields of a support set that have another name as an argument."""


class _Binary(Exception):
    """A body has parts that are smaller and faster in msgpack."""


def encode(body: Mapping[str, Any]) -> tuple[bytes, str]:
    """A body and its media type. A number that is not finite needs msgpack: the server then says where it is.

    Raises UnsupportedInput.
    """
    body = _with_options(body)
    try:
        return json.dumps(body, default=_small, separators=(",", ":"), allow_nan=False).encode(), JSON
    except (_Binary, ValueError):
        return msgpack.pack(body, _raw), msgpack.MEDIA


def encode_line(body: Mapping[str, Any]) -> bytes:
    """A body as a line of NDJSON: images, and arrays that are large or have NaN, are base64.

    Raises UnsupportedInput.
    """
    options = _with_options(body)
    try:
        return json.dumps(options, default=_text, separators=(",", ":"), allow_nan=False).encode()
    except ValueError as error:
        place = next(_no_json(_as_given(options), ""), "a value")
        raise UnsupportedInput(f"{place}: expected a number that JSON can have") from error


def decode(content: bytes, media: str) -> Any:
    """An answer. Raises ValueError where it is neither JSON nor msgpack."""
    return msgpack.unpack(content) if media.startswith(msgpack.MEDIA) else json.loads(content)


def _with_options(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body whose options can be sent. Raises UnsupportedInput that names the option."""
    return {name: value if name in EXAMPLES else plain(value, name) for name, value in body.items()}


def _as_given(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body with the names of the arguments of `adapt`, such as `x` for `support.inputs`."""
    rest = dict(body)
    support = rest.pop("support", {})
    return {ARGUMENTS.get(name, name): value for name, value in support.items()} | rest


def _no_json(value: Any, place: str) -> Iterator[str]:
    """The places of numbers that JSON cannot have: NaN, infinity, and whole numbers of thousands of digits."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _no_json(each, f"{place}.{name}".lstrip("."))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _no_json(each, f"{place}[{index}]")
    elif (isinstance(value, int) and abs(value) >= HUGE) or (isinstance(value, float) and not isfinite(value)):
        yield place


def _small(value: Any) -> Any:
    if isinstance(value, Array) and value.size < LARGE and not value.stays_raw:
        return value.values.tolist()
    raise _Binary


def _raw(value: Array) -> dict[str, Any]:
    return value.raw()


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raw = value.size >= LARGE or value.stays_raw or not sys.modules["numpy"].isfinite(value.values).all()
    return _raw(value) if raw else value.values.tolist()
