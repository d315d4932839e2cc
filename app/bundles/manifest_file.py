"""bundle.json, parsed."""

import json
import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from app.bundles.file_names import COPY_AGAIN, read
from app.bundles.format_1 import from_format_1
from app.bundles.manifest import FORMAT, OPTIONAL, Manifest
from app.errors import BundleError, expectation


def read_manifest(file: Path) -> Manifest:
    """The contents of bundle.json. Raises BundleError with the place in the file."""
    try:
        contents = json.loads(read(file))
    except (ValueError, RecursionError) as error:
        raise BundleError(file, f'expected JSON, got "{error}": {COPY_AGAIN}') from error
    if isinstance(contents, dict):
        number = contents.get("format")
        if type(number) is int and number == 1:
            try:
                contents = from_format_1(contents)
            except RecursionError as error:
                reason = f"expected JSON, got objects that are nested too deeply: {COPY_AGAIN}"
                raise BundleError(file, reason) from error
        elif type(number) is int and number != FORMAT:
            raise BundleError(
                file,
                expectation(
                    "format", f"1 to {FORMAT}", number, "upgrade Innerloop, or train the bundle again with this version"
                ),
            )
    manifest: Manifest = _parse(file, "", Manifest, contents)
    return manifest


_JSON_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a string", dict: "an object"}


def _json_name(value: Any) -> str:
    """A value of the wrong type, in the words of JSON."""
    return {list: "a list", type(None): "null"}.get(type(value)) or _JSON_NAMES[type(value)]


def _parse(file: Path, place: str, kind: Any, value: Any) -> Any:
    """A value of `json.loads` as an instance of the dataclass or plain type `kind`.

    place: its path in the file, for errors
    """
    if kind == Mapping[str, Any]:
        kind = dict
    if hasattr(kind, "__dataclass_fields__"):
        return _parse_object(file, place, kind, value)
    if get_origin(kind) is UnionType:  # a type or None
        return None if value is None else _parse(file, place, get_args(kind)[0], value)
    if get_origin(kind) is tuple:
        if not isinstance(value, list | tuple):
            raise BundleError(file, f"{place}: expected a list, got {value!r}")
        return tuple(_parse(file, f"{place}[{index}]", get_args(kind)[0], item) for index, item in enumerate(value))
    if kind is float and type(value) is int:
        try:
            value = float(value)
        except OverflowError as error:
            reason = expectation(place, "a number in the range of float64", "a larger one")
            raise BundleError(file, reason) from error
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise BundleError(file, f"{place}: expected {_JSON_NAMES[kind]}, got {value!r}")
    return value


def _parse_object(file: Path, place: str, kind: Any, value: Any) -> Any:
    if not isinstance(value, dict):
        raise BundleError(file, expectation(place or "top level", "an object", _json_name(value)))
    names = {item.name for item in fields(kind)}
    optional = {item.name for item in fields(kind) if item.metadata == OPTIONAL}
    missing, unknown = sorted(names - optional - value.keys()), sorted(value.keys() - names)
    if missing:
        raise BundleError(file, expectation(f"{place}.{missing[0]}".lstrip("."), "a value", "none"))
    if unknown:
        expected = f"only the fields {', '.join(sorted(names))}"
        raise BundleError(file, expectation(place or "top level", expected, f"also {', '.join(unknown)}"))
    hints = get_type_hints(kind)
    return kind(**{name: _parse(file, f"{place}.{name}".lstrip("."), hints[name], value.get(name)) for name in names})
