"""Bodies to bytes and back: JSON, or msgpack with raw arrays for what is large."""

import base64
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from innerloop_client import msgpack
from innerloop_client.arrays import Array, packed
from innerloop_client.errors import UnsupportedInput
from innerloop_client.value_encoding import plain

JSON = "application/json"
NDJSON = "application/x-ndjson"
LARGE = 4000
"""From so many numbers on, an array is sent as raw bytes."""
TOO_LARGE = 10**400
"""No float is as large. Python writes whole numbers of up to 4,300 digits."""
EXACT = 2**53
"""Up to here, a float has each whole number."""
ARGUMENTS = {"inputs": "x", "targets": "y"}
"""The fields of a support set that have another name as an argument."""
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
        return _json({name: _in_json(value, name, name in EXAMPLES) for name, value in body.items()}, _text)


def decode(content: bytes, media: str) -> Any:
    """An answer. Raises ValueError where it is neither JSON nor msgpack."""
    return msgpack.unpack(content) if media.startswith(msgpack.MEDIA) else json.loads(content)


def _with_options(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body whose options can be sent. Raises UnsupportedInput that names the option."""
    return {name: value if name in EXAMPLES else plain(value, name) for name, value in body.items()}


def _json(body: Mapping[str, Any], default: Callable[[Any], Any]) -> bytes:
    """A body as JSON. Raises ValueError for a number that JSON cannot have, or that Python cannot write."""
    return json.dumps(body, default=default, separators=(",", ":"), allow_nan=False).encode()


def _in_json(value: Any, place: str, may_be_missing: bool) -> Any:
    """A value in which all numbers are those of JSON. NaN becomes null, if it may be missing.

    place: its path in the body. Raises UnsupportedInput for other numbers that JSON or a float cannot have.
    """
    if isinstance(value, Mapping):
        return {name: _in_json(_with_nan(each), f"{place}.{name}", may_be_missing) for name, each in value.items()}
    if isinstance(value, list):
        return [_in_json(each, f"{place}[{index}]", may_be_missing) for index, each in enumerate(value)]
    if not isinstance(value, int | float) or abs(value) < TOO_LARGE:
        return value
    if value != value and may_be_missing:
        return None
    actual = f"{value}" if isinstance(value, float) else "one that is too large"
    raise UnsupportedInput(f"{_argument(place)}: expected a finite number, got {actual}")


def _with_nan(values: Any) -> Any:
    """Numbers with NaN as a raw array, so that the server says what is wrong with it; any other values as they are."""
    if not isinstance(values, list):
        return values
    is_column = not any(isinstance(row, list) for row in values)
    rows = [[value] for value in values] if is_column else values
    numbers = [value for row in rows if isinstance(row, list) for value in row]
    types = {float} if is_column else {float, int}  # whole numbers in a column may be labels
    has_nan = any(each != each for each in numbers)
    if not has_nan or not types >= set(map(type, numbers)) or any(abs(each) > EXACT for each in numbers):
        return values
    raw = packed([[float(value) for value in row] if isinstance(row, list) else row for row in rows], 0)
    return values if raw is None else raw | {"shape": raw["shape"][: 2 - is_column]}


def _argument(place: str) -> str:
    """A place in a body as the argument of `adapt`, such as `x[1]` for `support.inputs[1]`."""
    place = place.removeprefix("support.")
    name = next((name for name in ARGUMENTS if place.startswith(name)), "")
    return ARGUMENTS.get(name, "") + place.removeprefix(name)


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
