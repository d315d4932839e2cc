"""Why a body cannot be decoded: msgspec's errors in plain words, with the field, what was expected and what came.

Only bodies that are refused come here, so nothing in this module has to be fast.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from app.api import schemas
from app.encoders.error_places import key_of, number_fix
from app.encoders.error_places import place as place_of
from app.errors import Invalid, Malformed, exact, one_of, shown

Decoder = Callable[..., Any]
"""Decodes a body of one format."""
MISSING = object()
"""The value at a place that a body does not have."""


def invalid(error: msgspec.ValidationError, body: bytes, form: type, decoder: Decoder) -> Invalid:
    """The error of a body that does not fit `form`."""
    message, place = _message_and_place(str(error))
    if message in ("Number out of range", "Integer value out of range"):
        message, place = _beyond_float64(body, form, place)
    if missing := re.search(r"missing required field `(.*)`", message):
        return missing_field(missing[1], place)
    if unknown := re.search(r"contains unknown field `(.*)`", message, re.DOTALL):
        expected = f"one of the fields {', '.join(_fields(form, place))}"
        where = inside(place, unknown[1] if len(unknown[1]) <= MAX_NAME else f"{unknown[1][:MAX_NAME]}...")
        return Invalid(where, expected, "an unknown field", "correct its name, or leave it out")
    value = value_at(body, place, decoder)
    name = re.findall(r"\w+", place)[-1:]
    if name and name[0] in CHOICES:
        return Invalid(place, one_of(CHOICES[name[0]]), described(value))
    if "base64" in message:
        return Invalid(place, "base64", described(value), "send the base64 alone, without `data:` before it")
    if parts := re.fullmatch(r"Expected (.*), got (.*)", message):
        return Invalid(place, *_type_mismatch(parts[1], parts[2], value))
    if bound := re.fullmatch(r"Expected (.*)", message):
        expected = _bound(bound[1])
        is_length = "element" in expected or "character" in expected
        actual = len(value) if is_length and value is not MISSING else described(value)
        return Invalid(place, expected, actual, _as_share(value) if place == "interval" else "")
    return Invalid(place, "a value that fits the field", described(value), "/docs describes each field")


MAX_NAME = 60
"""Characters of an unknown field that a message repeats."""


def malformed(error: Exception, body: bytes, name: str) -> Malformed:
    """The error of a body that is not in the format of that name: JSON or msgpack."""
    text = re.sub(r"opcode '\\x(..)'", r"byte 0x\1", str(error))
    if isinstance(error, RecursionError):
        fix = "nest arrays no deeper than `shape` of the model"
        return Malformed(name, "arrays or objects that are nested too deeply", fix)
    if not body.strip():
        return Malformed(name, "an empty body")
    if other := other_format(body):
        return Malformed(name, *other)
    if name == "JSON" and ("surrogate" in text or _HALF_A_PAIR.search(body)):
        fix = "escape both halves, or write the character itself"
        return Malformed("JSON in UTF-8", r"half of a surrogate pair, such as \ud800 alone", fix)
    if isinstance(error, UnicodeDecodeError):
        return Malformed(f"{name} with strings in UTF-8", f"the byte 0x{error.object[error.start]:02x} in a string")
    if "truncated" in text:
        size = f"{len(body)} byte{'' if len(body) == 1 else 's'}"
        return Malformed(f"complete {name}", f"a body that breaks off after {size}", "send the whole body")
    place = re.fullmatch(r".* malformed: (.*) \(byte (\d+)\)", text)
    actual = f"{_SYNTAX.get(place[1], 'an ' + place[1])} at byte {place[2]}" if place else text
    fix = "JSON has no NaN or Infinity" if "invalid character" in actual and _NOT_FINITE.search(body) else ""
    return Malformed(name, actual, fix)


STARTS: Mapping[bytes, tuple[str, str]] = {
    b"\x1f\x8b": ("a gzip archive", "set the header Content-Encoding: gzip"),
    b"PK\x03\x04": ("a zip archive or a spreadsheet", "send the text, such as the sheet saved as CSV"),
    b"\xff\xfe\0\0": ("UTF-32", "send the body in UTF-8"),  # before UTF-16, which begins as it does
    b"\0\0\xfe\xff": ("UTF-32", "send the body in UTF-8"),
    b"\xff\xfe": ("UTF-16", "send the body in UTF-8"),
    b"\xfe\xff": ("UTF-16", "send the body in UTF-8"),
}
"""By its first bytes, what a body in another format is, and the fix."""
_HALF_A_PAIR = re.compile(rb"(?<!\\)\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])")
_NOT_FINITE = re.compile(rb"\b(NaN|Infinity)\b")
_SYNTAX = {
    "object keys must be strings": "a key that is not in double quotes",
    "trailing comma in object": "a comma after the last field",
    "trailing comma in array": "a comma after the last element",
    "trailing characters": "a second value",
    "expected ':'": "a key without a colon",
    "expected ',' or '}'": "a field without a comma or } after it",
    "expected ',' or ']'": "an element without a comma or ] after it",
    "map keys must be hashable": "an object as a key",
}
"""Msgspec's syntax errors in plain words."""


def other_format(body: bytes) -> tuple[str, str] | None:
    """What came and the fix, where the first bytes tell that a body is in a format that no endpoint takes."""
    return next((other for start, other in STARTS.items() if body.startswith(start)), None)


def missing_field(name: str, place: str) -> Invalid:
    """The error where a field is missing. place: that of the object that lacks it, "" for the body"""
    return Invalid(inside(place, name), "a value", "none", "add the field")


def inside(place: str, name: str) -> str:
    """The place of a field of the object at `place`."""
    return f"{place}.{name}" if place else name


def value_at(body: bytes, place: str, decoder: Decoder) -> Any:
    """What a body has at a place; MISSING where it cannot be read or has nothing there."""
    try:
        value = _decoded(body, decoder)
        for key, index in re.findall(r"(\w+)|\[(\d+)\]", place.replace("[", " [")):
            value = value[int(index)] if index else value[key]
    except (ValueError, RecursionError, LookupError, TypeError):
        return MISSING
    return value


def _decoded(body: bytes, decoder: Decoder) -> Any:
    """The values of a body, with infinity for a number like 1e400 in JSON. Raises ValueError and RecursionError."""
    try:
        return decoder(body)
    except msgspec.DecodeError as error:
        if "out of range" not in str(error):
            raise
        return json.loads(body)


def described(value: Any) -> str:
    """A value as the words after "got"."""
    match value:
        case None | bool():
            return json.dumps(value)
        case str():
            return shown(value)
        case int():
            return shown(str(value)).strip('"')
        case float():
            return "a number that is too large" if value == math.inf else exact(value)
        case list():
            return "an array"
        case bytes():
            return "bytes"
        case datetime():
            return "a timestamp"
        case msgspec.msgpack.Ext():
            return "an extension type of msgpack"
    return "a value that cannot be read" if value is MISSING else "an object"


def _message_and_place(error: str) -> tuple[str, str]:
    """Msgspec's error apart: the message, and the path, such as `support.inputs[4]`."""
    message, _, path = error.partition(" - at `")
    if path.startswith("key` in `"):
        message = re.sub("^Expected `str`", "Expected `key`", message)
    return message, path.removeprefix("key` in `").strip("$`").lstrip(".")


def _as_share(value: Any) -> str:
    """What to send instead of a percentage; "" where the value is not one."""
    try:
        level = float(value)
    except (TypeError, ValueError):
        return ""
    return f"for {exact(level)} % send {level / 100:.12g}" if 1 < level < 100 else ""


def _beyond_float64(body: bytes, form: type, place: str) -> tuple[str, str]:
    """The message and the place of the first error in JSON that has a number like 1e400, which msgspec cannot read."""
    try:
        value = json.loads(body, parse_int=float)
        place = _place_of_infinity(value) or place
        msgspec.convert(json.loads(body), form)
    except msgspec.ValidationError as error:
        return _message_and_place(str(error))
    except (ValueError, RecursionError):
        pass
    return "Expected `finite`, got `infinite`", place


def _place_of_infinity(value: Any, place: str = "") -> str | None:
    """The place of the first infinite number in a value of JSON."""
    match value:
        case float():
            return place if math.isinf(value) else None
        case list():
            paths = ((f"{place}{place_of(index)}", each) for index, each in enumerate(value))
        case dict():
            paths = ((f"{place}{key_of(key)}".removeprefix("."), each) for key, each in value.items())
        case _:
            return None
    return next(filter(None, (_place_of_infinity(each, path) for path, each in paths)), None)


def _type_mismatch(expected: str, actual: str, value: Any) -> tuple[str, str, str]:
    """What was expected, what came and the fix, where msgspec names two types, or a bound and what is over it."""
    if not expected.startswith("`") or "` " in expected:
        bound = _bound(expected)
        return bound, described(value) if actual.startswith("`") else actual, ""
    types = [_WORDS[each] for each in expected.strip("`").split(" | ") if each in _WORDS]
    # the rarer forms are left out: a raw array is an object, an image is bytes, and an array may replace a number
    usual = [each for each in types if each not in ("null", "an object", "bytes", "an array")]
    words = " or ".join(usual) or ("an array" if "an array" in types else types[0])
    came = _WORDS.get(actual.strip("`"), described(value))
    if value is not MISSING and (came == "a boolean" or (came == "a number" and "a whole number" in words)):
        is_whole = isinstance(value, float) and value.is_integer()  # what is wrong with 1.0 is its point
        came = str(value) if is_whole else described(value)
    fix = number_fix(value, words) if came == "a string" and words in ("a number", "a whole number") else ""
    return words.replace("a boolean", "true or false"), came, fix


_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a string",
    "bool": "a boolean",
    "null": "null",
    "bytes": "bytes",
    "object": "an object",
    "array": "an array",
    "key": "strings as names of fields",
    "finite": "a finite number",
    "infinite": "a number that is too large",
}
"""Msgspec's types in the words of JSON. What is missing here, such as `ext`, is described by its value."""


def _bound(message: str) -> str:
    """Msgspec's bound in plain words."""
    message = re.sub(r"`(\w+)`", lambda match: _WORDS[match[1]], message)
    for pattern, words in _BOUNDS.items():
        message = re.sub(pattern, words, message)
    return message


_BOUNDS = {
    r"an array of (?:at least )?length >= 1\b|an array of at least length 1\b": "at least 1 element",
    r"an array of length >= (\d+)": r"at least \1 elements",
    r"an array of length <= (\d+)": r"at most \1 elements",
    r"a string of length <= (\d+)": r"at most \1 characters",
    r"(a whole number|a number) >= (\d+)": r"\1 of at least \2",
    r"(a whole number|a number) <= (\d+)": r"\1 of at most \2",
    r"a number > (\d+)(\.0)?\b": r"a number above \1",
    r"a number < (\d+)(\.0)?\b": r"a number below \1",
}
"""Msgspec's bounds, by pattern, in plain words."""


def _fields(form: type, place: str) -> tuple[str, ...]:
    """The fields of the object at a place in a body."""
    name = (re.findall(r"[a-z]+", place) or [""])[-1]
    forms: dict[str, Any] = {"": form, "support": schemas.Support, "episodes": schemas.Episode}
    return tuple(each.name for each in msgspec.structs.fields(forms.get(name, schemas.RawArray)))


def _literals(hint: Any) -> tuple[str, ...]:
    """The strings of the Literal in a type hint, if there is one."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    return next(filter(None, map(_literals, get_args(hint))), ())


CHOICES = {
    name: choices
    for form in (schemas.AdaptRequest, schemas.ProposeRequest, schemas.RawArray)
    for name, hint in get_type_hints(form).items()
    if (choices := _literals(hint))
}
"""The values of the fields of requests that have a few only."""
