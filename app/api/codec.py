"""Bodies become arrays here, and arrays become bodies; nowhere else. JSON is for people, msgpack for volume."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import numpy as np
import orjson
from fastapi import Response

from app import schemas
from app.errors import Invalid, Malformed

T = TypeVar("T")
FLOAT32_MAX = float(np.finfo(np.float32).max)


def _json_array(value: Any) -> msgspec.Raw:
    """An array in JSON, with no more digits than float32 has, and null where a number is not finite."""
    if isinstance(value, np.ndarray):
        return msgspec.Raw(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY))
    raise NotImplementedError(f"cannot write {type(value)}")


def _raw_array(value: Any) -> dict[str, Any]:
    """An array in msgpack: `schemas.RawArray`."""
    if isinstance(value, np.ndarray):
        little = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
        return {"shape": list(value.shape), "data": little.tobytes(), "dtype": value.dtype.name}
    raise NotImplementedError(f"cannot write {type(value)}")


@dataclass(frozen=True)
class Codec:
    """One form of bodies."""

    media: str
    name: str
    decoder: Callable[..., Any]
    encoder: msgspec.json.Encoder | msgspec.msgpack.Encoder

    def decode(self, body: bytes, form: type[T]) -> T:
        """The body as `form`. Raises Malformed where it cannot be read; Invalid, with the place, if it does not fit."""
        try:
            decoded: T = self.decoder(body, type=form)
            return decoded
        except msgspec.ValidationError as error:
            message, _, path = str(error).partition(" - at `$")
            raise Invalid(_in_words_of_json(message), path.rstrip("`").lstrip(".")) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            note = " in UTF-8 (NaN and Infinity are none either)" if self is JSON else ""
            raise Malformed(f"the body is not {self.name}{note}: {error}") from error
        except RecursionError as error:
            raise Malformed("the body is nested too deeply; arrays of numbers need two levels") from error

    def respond(self, answer: schemas.Answer, status: int = 200) -> Response:
        """An answer as a response."""
        return Response(self.encoder.encode(answer), status, media_type=self.media)


JSON = Codec("application/json", "JSON", msgspec.json.decode, msgspec.json.Encoder(enc_hook=_json_array))
MSGPACK = Codec("application/msgpack", "msgpack", msgspec.msgpack.decode, msgspec.msgpack.Encoder(enc_hook=_raw_array))
NDJSON = "application/x-ndjson"


def _in_words_of_json(message: str) -> str:
    """Msgspec's message in the words of JSON, and what to do."""
    message = message.replace("`object | array`", "`array`")  # the object is a raw array
    message = re.sub(
        r"`(int|float|str|bool|null|array|object|bytes|None)(?: \| \w+)*`", lambda found: _JSON[found[1]], message
    )
    message = message[:1].lower() + message[1:]
    if "got a string" in message and "number" in message:
        return message + " (numbers are written without quotes)"
    if "unknown field" in message:
        return message + " (correct its name, or leave it out)"
    return message


_JSON = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "bool": "a boolean",
    "null": "null",
    "array": "an array",
    "object": "an object",
    "bytes": "bytes",
    "None": "null",
}


def rows(values: Sequence[Sequence[float]] | schemas.RawArray, width: int, unit: str, place: str) -> np.ndarray:
    """Numbers as float32 [row, width]. Raises Invalid at the first row of another width or number out of range."""
    if isinstance(values, schemas.RawArray):
        exact = _from_raw(values, width, unit, place)
    else:
        for index, row in enumerate(values):
            if len(row) != width:
                raise Invalid(f"{_many(width, unit)} expected, got {len(row)}", f"{place}[{index}]")
        exact = np.array(values, np.float64)
    # the sum of squares bounds them all, for a fifth of the time of looking at each; NaN is not below anything
    if not float(np.vdot(exact, exact)) <= FLOAT32_MAX**2 and not (inside := np.abs(exact) <= FLOAT32_MAX).all():
        index, column = np.argwhere(~inside)[0]
        found = f"{exact[index, column]:g} is not finite in float32: scale the data"
        raise Invalid(found, f"{place}[{index}][{column}]")
    return exact.astype(np.float32)


def _from_raw(raw: schemas.RawArray, width: int, unit: str, place: str) -> np.ndarray:
    dtype = np.dtype(raw.dtype).newbyteorder("<")
    if raw.shape[1] != width or raw.shape[0] == 0:
        raise Invalid(f"rows of {_many(width, unit)} expected, got the shape {raw.shape}", f"{place}.shape")
    if len(raw.data) != math.prod(raw.shape) * dtype.itemsize:
        wanted = math.prod(raw.shape) * dtype.itemsize
        raise Invalid(f"{wanted} bytes expected for {raw.shape} of {raw.dtype}, got {len(raw.data)}", f"{place}.data")
    return np.frombuffer(raw.data, dtype).reshape(raw.shape)


def _many(count: int, unit: str) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'}"
