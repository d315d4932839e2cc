"""Bodies to values and arrays, and back; nowhere else. JSON is for people, msgpack for volume."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
import numpy as np
import orjson
from fastapi import Response

from app.api import images, schemas
from app.bundles import Schema
from app.errors import Invalid, Malformed

T = TypeVar("T")
NUMBERS_AT_ONCE = 20_000
"""Other threads run between so many numbers and the next ones of an answer."""
MAX_SHOWN = 40
"""Characters of a value in an error."""
FLOAT32_MAX = float(np.finfo(np.float32).max)
_LENGTH = r" (elements?|characters)$"


def _json_array(value: Any) -> msgspec.Raw:
    """An array as JSON, with no more digits than float32 has, and null where a number is not finite."""
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value)
        if array.size <= NUMBERS_AT_ONCE:
            return msgspec.Raw(_dumps(array))
        rows = max(1, NUMBERS_AT_ONCE * len(array) // array.size)
        parts = (_dumps(array[start : start + rows])[1:-1] for start in range(0, len(array), rows))
        return msgspec.Raw(b"[" + b",".join(parts) + b"]")
    raise NotImplementedError(f"cannot write {type(value)}")


def _dumps(array: np.ndarray) -> bytes:
    return orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY)


def _raw_array(value: Any) -> dict[str, Any]:
    """An array as msgpack: `schemas.RawArray`."""
    if isinstance(value, np.ndarray):
        little = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
        return {"shape": list(value.shape), "data": little.tobytes(), "dtype": value.dtype.name}
    raise NotImplementedError(f"cannot write {type(value)}")


@dataclass(frozen=True)
class Codec:
    """One format of bodies."""

    media: str
    name: str
    decoder: Callable[..., Any]
    encoder: msgspec.json.Encoder | msgspec.msgpack.Encoder

    def decode(self, body: bytes, form: type[T]) -> T:
        """The body as `form`. Raises Malformed where it cannot be read, and Invalid where it does not fit."""
        try:
            decoded: T = self.decoder(body, type=form)
            return decoded
        except msgspec.ValidationError as error:
            message, place = _message_and_place(str(error))
            if missing := re.search(r"missing required field `(.*)`", message):
                raise missing_field(missing[1], place) from error
            if unknown := re.search(r"contains unknown field `(.*)`", message):
                raise Invalid("unknown field: correct its name, or leave it out", _inside(place, unknown[1])) from error
            raise Invalid(self._with_actual(_in_words_of_json(message), body, place), place) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            note = " in UTF-8 (JSON has no NaN or Infinity)" if self is JSON else ""
            raise Malformed(f"the body is not {self.name}{note}: {error}") from error
        except RecursionError as error:
            raise Malformed(
                "the body is nested too deeply: nest arrays of numbers only like the model's shape"
            ) from error

    def _with_actual(self, message: str, body: bytes, place: str) -> str:
        """The message with what the body has at that place, where msgspec does not say it."""
        lists_choices = message.startswith("invalid enum value")
        if not lists_choices and (not message.startswith("expected") or ", got " in message):
            return message
        try:
            value = self.decoder(body)
            for key, index in re.findall(r"(\w+)|\[(\d+)\]", place.replace("[", " [")):
                value = value[int(index)] if index else value[key]
        except (msgspec.DecodeError, RecursionError, LookupError, TypeError):
            return message  # it goes on as something that cannot be read, or the place is no path
        if lists_choices:
            return f"expected one of {', '.join(CHOICES[key])}, got {_short(value)}"
        return f"{message}, got {len(value) if re.search(_LENGTH, message) else _short(value)}"

    def respond(self, answer: schemas.ResponseBody, status: int = 200) -> Response:
        """An answer as a response."""
        return Response(self.encoder.encode(answer), status, media_type=self.media)


JSON = Codec("application/json", "JSON", msgspec.json.decode, msgspec.json.Encoder(enc_hook=_json_array))
MSGPACK = Codec("application/msgpack", "msgpack", msgspec.msgpack.decode, msgspec.msgpack.Encoder(enc_hook=_raw_array))
NDJSON = "application/x-ndjson"


def _literals(hint: Any) -> tuple[str, ...]:
    """The strings of the Literal in a type hint, if there is one."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    return next(filter(None, map(_literals, get_args(hint))), ())


CHOICES = {
    name: choices
    for form in (schemas.AdaptRequest, schemas.RawArray)
    for name, hint in get_type_hints(form).items()
    if (choices := _literals(hint))
}
"""The values of the fields of requests that have a few only."""


def _short(value: Any) -> str:
    """A value as JSON, cut if it is long."""
    text = msgspec.json.encode(value, enc_hook=str).decode()
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def _message_and_place(error: str) -> tuple[str, str]:
    """Msgspec's error apart: the message, and the path, such as `support.inputs[4]`."""
    message, _, path = error.partition(" - at `")
    in_key = path.startswith("key` in `")
    return f"{message} as a key" if in_key else message, path.removeprefix("key` in `").strip("$`").lstrip(".")


def _in_words_of_json(message: str) -> str:
    """Msgspec's message in the words of JSON, with what to do."""
    # where it says object it means a raw array, and bytes are an image
    message = message.replace("`object | array`", "`array`").replace("`bytes | array`", "`array`")
    message = re.sub(rf"`((?:{'|'.join(_JSON)})(?: \| \w+)*)`", lambda match: _one_of(match[1].split(" | ")), message)
    message = message[:1].lower() + message[1:]
    if "got a string" in message and "number" in message:
        return message + " (numbers are written without quotes)"
    if message == "number out of range":
        return "expected a number between -1.8e308 and 1.8e308, got one outside"
    if "base64" in message:
        return message + " (of the bytes alone, without a `data:` prefix)"
    for pattern, words in _PLAIN.items():
        message = re.sub(pattern, words, message)
    return message


_PLAIN = {
    r"an array of length >= 1\b": "at least 1 element",
    r"an array of length >= (\d+)": r"at least \1 elements",
    r"an array of length <= (\d+)": r"at most \1 elements",
    r"a string of length <= (\d+)": r"at most \1 characters",
    r"(an integer|a number) >= (\d+)": r"\1 of at least \2",
    r"(an integer|a number) <= (\d+)": r"\1 of at most \2",
    r"a number > (\d+)(\.0)?\b": r"a number above \1",
    r"a number < (\d+)(\.0)?\b": r"a number below \1",
}
"""Msgspec's bounds, by pattern, in plain words."""


def _one_of(types: list[str]) -> str:
    """What a value may be, in the words of JSON; without the rarer forms that some models take, null and arrays."""
    usual = [_JSON[each] for each in types if each not in ("null", "array")]
    return " or ".join(usual or [_JSON[types[0]]])


_JSON = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "bool": "a boolean",
    "null": "null",
    "None": "null",
    "array": "an array",
    "object": "an object",
    "bytes": "bytes",
}


def missing_field(name: str, place: str) -> Invalid:
    """The error where a field is missing. place: that of the object that lacks it, "" for the body"""
    return Invalid("the field is missing: add it", _inside(place, name))


def _inside(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def read_inputs(values: schemas.Inputs | schemas.RawArray, schema: Schema, place: str) -> np.ndarray:
    """Inputs as float32 [row, feature]. Raises Invalid at the first that the model does not take."""
    if isinstance(values, schemas.RawArray):
        return _finite(_from_raw(values, schema.features, schema.shape, place), place).reshape(-1, schema.features)
    exact = _array(values)  # all rows usually have the same form
    if exact is not None and exact.ndim > 1 and exact.shape[1:] in ((schema.features,), schema.shape):
        return _finite(exact, place).reshape(len(exact), -1)
    if schema.image:
        _check_pixels(values, place)
    rows = [_input(each, schema, f"{place}[{index}]") for index, each in enumerate(values)]
    return _finite(np.stack(rows), place)


def read_numbers(values: Sequence[float | list[float] | str] | schemas.RawArray, width: int, place: str) -> np.ndarray:
    """Targets of regression as float32 [example, width]. Raises Invalid at the first that is not `width` numbers."""
    if isinstance(values, schemas.RawArray):
        return _finite(_from_raw(values, width, (), place), place).reshape(-1, width)
    types = set(map(type, values))
    # `_array` alone would read a number out of a string
    uneven = len(types) > 1 and list in types
    exact = None if str in types else _array([_row(each) for each in values] if uneven else values)
    if exact is None or (exact.shape[1] if exact.ndim > 1 else 1) != width:
        raise next(filter(None, (_mistake(each, width, f"{place}[{index}]") for index, each in enumerate(values))))
    return _finite(exact, place).reshape(-1, width)


def _row(target: float | list[float] | str) -> list[Any]:
    return target if isinstance(target, list) else [target]


def _mistake(target: float | list[float] | str, width: int, place: str) -> Invalid | None:
    """What is wrong with a target of regression, if anything."""
    if isinstance(target, str):
        return Invalid("expected a number, got a string (numbers are written without quotes)", place)
    if len(_row(target)) != width:
        return Invalid(f"expected {_many(width)}, got {len(_row(target))}", place)
    return None


def read_labels(values: Sequence[float | list[float] | str] | schemas.RawArray, place: str) -> np.ndarray:
    """Targets of classification as strings, [example] of objects. Raises Invalid at the first that is no string."""
    if isinstance(values, schemas.RawArray):
        raise Invalid("expected labels, got numbers: send a list of strings, one for each example", place)
    for index, each in enumerate(values):
        if not isinstance(each, str):
            actual = "an array" if isinstance(each, list) else "a number"
            raise Invalid(f"expected a label, got {actual} (labels are strings, in quotes)", f"{place}[{index}]")
    return np.array(values, object)


def _array(rows: Sequence[Any]) -> np.ndarray | None:
    """Nested lists as float64, or None where they are uneven or hold something else than numbers."""
    try:
        return np.array(rows, np.float64)
    except ValueError:
        return None


def _check_pixels(rows: Sequence[Any], place: str) -> None:
    """Raises Invalid where the images among the rows are too large together."""
    pixels = 0
    for index, each in enumerate(rows):
        if isinstance(each, bytes):
            pixels += math.prod(images.size(each, f"{place}[{index}]"))
    if pixels > images.MAX_PIXELS:
        raise Invalid(
            f"expected at most {images.MAX_PIXELS} pixels in all images, got {pixels}: scale the images down", place
        )


def _input(row: list[Any] | bytes, schema: Schema, place: str) -> np.ndarray:
    """One input, float [feature]."""
    expected = f"expected {_many(schema.features)}"
    if isinstance(row, bytes):
        if not schema.image:
            raise Invalid(f"{expected}, got a string: this model takes no images", place)
        return images.IMAGES[schema.image](row, (schema.shape[0], schema.shape[1]), place)
    exact = _array(row)
    if exact is not None and exact.shape in ((schema.features,), schema.shape):
        return exact.reshape(-1)
    if not schema.shape:
        nested = next((index for index, each in enumerate(row) if isinstance(each, list)), None)
        if nested is not None:
            raise Invalid("expected a number, got an array", f"{place}[{nested}]")
        raise Invalid(f"{expected}, got {len(row)}", place)
    shape = " x ".join(map(str, schema.shape))
    actual = "rows of unequal length" if exact is None else " x ".join(map(str, exact.shape))
    raise Invalid(f"expected {shape} numbers, or {schema.features} numbers in one row, got {actual}", place)


def _finite(exact: np.ndarray, place: str) -> np.ndarray:
    """Numbers as float32. Raises Invalid at the first that is out of its range."""
    # the sum of squares bounds every number, in a fifth of the time of looking at each; NaN is not below anything
    if not float(np.vdot(exact, exact)) <= FLOAT32_MAX**2 and not (inside := np.abs(exact) <= FLOAT32_MAX).all():
        index = tuple(np.argwhere(~inside)[0])
        fix = "leave the row out" if math.isnan(exact[index]) else "scale the data"
        where = place + "".join(f"[{each}]" for each in index)
        raise Invalid(f"expected a finite float32 number, got {exact[index]:g}: {fix}", where)
    return exact.astype(np.float32)


def _from_raw(raw: schemas.RawArray, width: int, shape: tuple[int, ...], place: str) -> np.ndarray:
    """A raw array in its own shape. Its rows are of `width` numbers, of the shape `shape`, or bare numbers for 1."""
    dtype = np.dtype(raw.dtype).newbyteorder("<")
    forms = [(width,), *([shape] if shape else []), *([()] if width == 1 else [])]
    if raw.shape[0] == 0:
        raise Invalid(f"expected at least 1 row, got the shape {raw.shape}", f"{place}.shape")
    if tuple(raw.shape[1:]) not in forms:
        raise Invalid(f"expected rows of {_many(width)}, got the shape {raw.shape}", f"{place}.shape")
    if len(raw.data) != (size := math.prod(raw.shape) * dtype.itemsize):
        raise Invalid(f"expected {size} bytes for {raw.shape} of {raw.dtype}, got {len(raw.data)}", f"{place}.data")
    rows = np.frombuffer(raw.data, dtype).reshape(raw.shape)
    return rows if rows.dtype.kind == "f" else rows.astype(np.float64)


def _many(count: int) -> str:
    return f"{count} number{'' if count == 1 else 's'}"
