"""Bodies to bytes and back: JSON, or msgpack with raw arrays for what is large."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from innerloop_client import msgpack
from innerloop_client.arrays import Array
from innerloop_client.errors import UnsupportedInput
from innerloop_client.value_encoding import plain

JSON = "application/json"
NDJSON = "application/x-ndjson"
LARGE = 4000
"""From so many numbers on, an array is sent as raw bytes."""
EXAMPLES = frozenset({"support", "queries", "inputs", "targets", "weights", "labels", "episodes"})
"""The fields that `inputs` has read. All others are options."""


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
    """A body as a line of NDJSON: images and large arrays are base64. Raises UnsupportedInput."""
    try:
        return json.dumps(_with_options(body), default=_text, separators=(",", ":")).encode()
    except ValueError as error:  # of a whole number with thousands of digits
        raise UnsupportedInput(f"expected shorter whole numbers ({error})") from error


def decode(content: bytes, media: str) -> Any:
    """An answer. Raises ValueError where it is neither JSON nor msgpack."""
    return msgpack.unpack(content) if media.startswith(msgpack.MEDIA) else json.loads(content)


def _with_options(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body whose options can be sent. Raises UnsupportedInput that names the option."""
    return {name: value if name in EXAMPLES else _option(value, name) for name, value in body.items()}


def _option(value: Any, name: str) -> Any:
    if isinstance(value, bytes):  # which msgpack can send: images are bytes
        raise UnsupportedInput(f"{name}: cannot send a value of type bytes")
    return plain(value, name)


def _small(value: Any) -> Any:
    if isinstance(value, Array) and value.size < LARGE and not value.stays_raw:
        return value.values.tolist()
    raise _Binary


def _raw(value: Array) -> dict[str, Any]:
    return value.raw()


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.values.tolist() if value.size < LARGE and not value.stays_raw else _raw(value)
