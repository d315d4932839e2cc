"""JSON becomes arrays here, and arrays become JSON; nowhere else."""

import re
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
import numpy as np
import orjson
from fastapi import Response
from msgspec import UNSET

from app import schemas
from app.errors import Invalid, Malformed

T = TypeVar("T")
FLOAT32_MAX = float(np.finfo(np.float32).max)


def decode(body: bytes, form: type[T]) -> T:
    """The body as `form`. Raises Malformed where it is not JSON, and Invalid, with the place, where it does not fit."""
    try:
        return msgspec.json.decode(body, type=form)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise Invalid(_in_words_of_json(message), path.rstrip("`").lstrip(".")) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"the body is not JSON in UTF-8 (NaN and Infinity are none either): {error}") from error
    except RecursionError as error:
        raise Malformed("the body is nested too deeply; arrays of numbers need two levels") from error


def _in_words_of_json(message: str) -> str:
    """Msgspec's message in the words of JSON, and what to do."""
    message = re.sub(r"`(int|float|str|bool|null|array|object)(?: \| \w+)*`", lambda found: _JSON[found[1]], message)
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
}


def rows(values: Sequence[Sequence[float]], width: int, unit: str, place: str) -> np.ndarray:
    """Numbers as float32 [row, width]. Raises Invalid at the first row of another width or huge number."""
    for index, row in enumerate(values):
        if len(row) != width:
            plural = "" if width == 1 else "s"
            raise Invalid(f"{width} {unit}{plural} expected, got {len(row)}", f"{place}[{index}]")
    exact = np.array(values, np.float64)
    if np.abs(exact).max() > FLOAT32_MAX:
        index, column = np.argwhere(np.abs(exact) > FLOAT32_MAX)[0]
        found = f"{exact[index, column]:g} is not finite in float32: scale the data"
        raise Invalid(found, f"{place}[{index}][{column}]")
    return exact.astype(np.float32)


def respond(answer: schemas.Answer, status: int = 200, media_type: str = "application/json") -> Response:
    """An answer as a response. Arrays of float32 are written with no more digits than float32 has."""
    content = orjson.dumps(answer, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, status, media_type=media_type)


def _plain(value: Any) -> Any:
    """What orjson does not write by itself: structs, without the fields that are unset."""
    if isinstance(value, msgspec.Struct):
        return {name: field for name in value.__struct_fields__ if (field := getattr(value, name)) is not UNSET}
    raise TypeError(f"cannot write {type(value)}")
