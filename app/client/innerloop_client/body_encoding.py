"""Bodies to bytes and back: JSON, or msgpack with raw arrays for what is large."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from innerloop_client import msgpack
from innerloop_client.arrays import Array

JSON = "application/json"
NDJSON = "application/x-ndjson"
LARGE = 4000
"""From so many numbers on, an array is sent as raw bytes."""


class _Binary(Exception):
    """A body has parts that are smaller and faster in msgpack."""


def encode(body: Mapping[str, Any]) -> tuple[bytes, str]:
    """A body and its media type. A number that is not finite needs msgpack: the server then says where it is."""
    try:
        return json.dumps(body, default=_small, separators=(",", ":"), allow_nan=False).encode(), JSON
    except (_Binary, ValueError):
        return msgpack.pack(body, _raw), msgpack.MEDIA


def encode_line(body: Mapping[str, Any]) -> bytes:
    """A body as a line of NDJSON: images and large arrays are base64."""
    return json.dumps(body, default=_text, separators=(",", ":")).encode()


def decode(content: bytes, media: str) -> Any:
    """An answer. Raises ValueError where it is neither JSON nor msgpack."""
    return msgpack.unpack(content) if media.startswith(msgpack.MEDIA) else json.loads(content)


def _small(value: Any) -> Any:
    if isinstance(value, Array) and value.size < LARGE:
        return value.values.tolist()
    raise _Binary


def _raw(value: Any) -> dict[str, Any]:
    if not isinstance(value, Array):
        raise TypeError(f"cannot send {type(value).__name__}")
    return value.raw()


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Array) and value.size < LARGE:
        return value.values.tolist()
    return _raw(value)
