"""Encoders from a JSON file, for weights that were trained elsewhere."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from app.encoders.encoder import Encoder, StateError
from app.encoders.registry import fit, restore
from app.encoders.spec import EncoderSpec
from app.errors import Invalid, TrainingError, expectation

FIELDS: Mapping[str, tuple[type, str]] = {
    "name": (str, "a string"),
    "options": (dict, "an object"),
    "rows": (list, "a list"),
    "state": (dict, "an object"),
    "arrays": (dict, "an object"),
}
"""The fields of the file, each with its type and what JSON calls it."""


def read_encoder(file: Path) -> Encoder:
    """The encoder that a file describes: fitted on the training rows in it, or restored from its state.

        {"name": "table", "options": {"columns": {"ward": "category"}}, "rows": [{"age": 61, "ward": 3}, ...]}
        {"name": "table", "state": {...}, "arrays": {"ranges": [[...], ...]}}

    Raises TrainingError that names the file and the field.
    """
    try:
        return _encoder(_read(file))
    except TrainingError as error:
        raise TrainingError(f"--encoder: {file}: {error}") from error


def _encoder(contents: Mapping[str, Any]) -> Encoder:
    """As `read_encoder`, from its contents."""
    name = contents["name"]
    if "state" in contents:
        try:
            return restore(EncoderSpec(name, contents["state"]), _arrays(contents.get("arrays", {})))
        except StateError as error:
            raise TrainingError(str(error)) from error
    try:
        return fit(name, contents.get("rows", []), contents.get("options", {}))
    except Invalid as error:
        raise TrainingError(expectation(f"rows{error.place}", *error.reason)) from error


def _read(file: Path) -> dict[str, Any]:
    """The contents of a file, where each field has its type and fits the others."""
    try:
        contents = json.loads(file.read_bytes())
    except OSError as error:
        raise TrainingError(f'expected a file that can be read, got "{error.strerror}"') from error
    except (ValueError, RecursionError) as error:
        raise TrainingError(f'expected JSON, got "{error}"') from error
    if not isinstance(contents, dict) or "name" not in contents:
        raise TrainingError('expected an object with the name of an encoder, as in {"name": "table", "rows": [...]}')
    for name, value in contents.items():
        if name not in FIELDS:
            raise TrainingError(expectation(name, f"only the fields {', '.join(FIELDS)}", "another one"))
        kind, words = FIELDS[name]
        if not isinstance(value, kind):
            raise TrainingError(expectation(name, words, repr(value)))
    for name, other in (("state", "rows"), ("state", "options"), ("rows", "arrays"), ("options", "arrays")):
        if name in contents and other in contents:
            fix = "send rows and options to fit the encoder, or state and arrays to restore it"
            raise TrainingError(expectation(other, f"none beside {name}", "some", fix))
    return contents


def _arrays(values: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Nested lists of numbers as arrays of float64."""
    arrays = {}
    for name, value in values.items():
        try:
            arrays[name] = np.array(value, np.float64)
        except (ValueError, TypeError, OverflowError) as error:
            raise TrainingError(expectation(f"arrays.{name}", "nested lists of numbers", "something else")) from error
    return arrays
