"""Bodies to bytes and back: JSON, or msgpack with raw arrays for what is large."""

import base64
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from innerloop_client import msgpack
from innerloop_client.arrays import Array
from innerloop_client.errors import UnsupportedInput
from innerloop_client.value_encoding import plain

JSON = "application/json"
NDJSON = "application/x-ndjson"
LARGE = 4000
"""From so many numbers on, an array is sent as raw bytes."""
TOO_LARGE = 10**400
"""No float is as large. Python writes whole numbers of up to 4,300 digits."""
EXAMPLES = frozenset({"support", "queries", "candidates", "inputs", "targets", "weights", "labels", "episodes"})
"""The fields that `inputs` has read. All others are options."""


class _Binary(Exception):
    """A body has parts that are smaller and faster in msgpack."""


def encode(body: Mapping[str, Any]) -> tuple[bytes, str]:
    """A body and its media type: JSON, or msgpack where that is smaller or a number is not finite.

    The server says what is wrong with a number. Raises UnsupportedInput.
    """
    body = _with_options(body)
    try:
        return _json(body, _small), JSON
    except (_Binary, ValueError):
        pass
    try:
        return msgpack.pack(body, _raw), msgpack.MEDIA
    except OverflowError:  # only JSON has whole numbers of more than 64 bits
        return encode_line(body), JSON


def encode_line(body: Mapping[str, Any]) -> bytes:
    """A body as a line of NDJSON: images, and arrays that are large or have NaN, are base64.

    Raises UnsupportedInput.
    """
    body = _with_options(body)
    try:
        return _json(body, _text)
    except ValueError:
        pairs = body.items()
        return _json({name: _in_json(value, "" if name in EXAMPLES else name) for name, value in pairs}, _text)


def decode(content: bytes, media: str) -> Any:
    """An answer. Raises ValueError where it is neither JSON nor msgpack."""
    return msgpack.unpack(content) if media.startswith(msgpack.MEDIA) else json.loads(content)


def _with_options(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body whose options can be sent. Raises UnsupportedInput that names the option."""
    return {name: value if name in EXAMPLES else plain(value, name) for name, value in body.items()}


def _json(body: Mapping[str, Any], default: Callable[[Any], Any]) -> bytes:
    """A body as JSON. Raises ValueError for a number that JSON cannot have, or that Python cannot write."""
    return json.dumps(body, default=default, separators=(",", ":"), allow_nan=False).encode()


def _in_json(value: Any, option: str) -> Any:
    """A value in which all numbers are those of JSON. NaN becomes null: the server reads both as missing.

    option: the name of the option that this is a part of, if any: null would be its default
    Raises UnsupportedInput for NaN in an option.
    """
    if isinstance(value, Mapping):
        return {name: _in_json(each, option) for name, each in value.items()}
    if isinstance(value, list):
        return [_in_json(each, option) for each in value]
    if not isinstance(value, int | float) or abs(value) < TOO_LARGE:
        return value
    if value == value:
        return TOO_LARGE if value > 0 else -TOO_LARGE
    if option:
        raise UnsupportedInput(f"{option}: expected a number, got nan")
    return None


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
