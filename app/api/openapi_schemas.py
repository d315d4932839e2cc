"""The schemas of the OpenAPI document: those of msgspec, in the words that generators of clients understand."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from app.api import schemas
from app.api.openapi_field_examples import field_examples

_BASES = (schemas.RequestBody, schemas.ResponseBody)
WIRE = [
    value
    for value in vars(schemas).values()
    if isinstance(value, type) and issubclass(value, _BASES) and value not in _BASES
]
"""Every body of the wire, in the order of the document."""
_COLUMNS = {
    "title": "Columns",
    "description": "An input as an object, for models whose inputs have columns: the value of each column by its name, "
    "in any order. Each of `rows` has the target too",
    "type": "object",
    "additionalProperties": True,
    "examples": [{"age": 61, "smoker": True}],
}
"""What `COLUMNS_REF` refers to: an object of its own, so that generators make one class of it."""
_PREFIX = "#/components/schemas/"
_BODIES = {f"{_PREFIX}{form.__name__}" for form in WIRE}


def wire_schemas() -> dict[str, Any]:
    """The schema of each body by its name, with an example of each field; and `Columns`."""
    _, wire = msgspec.json.schema_components(WIRE, ref_template=_PREFIX + "{name}")
    values = field_examples()
    for name, schema in wire.items():
        # msgspec leaves the indentation of a docstring, which Markdown shows as code
        schema["description"] = inspect.cleandoc(schema["description"])
        for field, described in schema["properties"].items():
            for part in _parts(described):
                _say_types(part)
            if not holds_bodies(described):
                described["examples"] = [values[name][field]]
    wire[schemas.EditRequest.__name__]["minProperties"] = 1
    return {"Columns": dict(_COLUMNS), **wire}


def _parts(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A schema, and the schemas of its items and alternatives."""
    yield schema
    for part in (schema.get("items"), *schema.get("anyOf", [])):
        if part is not None:
            yield from _parts(part)


def _say_types(schema: dict[str, Any]) -> None:
    """Say the types that msgspec leaves open."""
    if "$ref" in schema:
        schema.pop("type", None)  # the reference has it
    if all(isinstance(value, str) for value in schema.get("enum", [None])):
        schema["type"] = "string"
    if schema.get("type") == "object":
        schema.setdefault("additionalProperties", True)  # without it, openapi-typescript makes an object with no fields
    schema.pop("default", None)  # openapi-typescript would require the field in requests; its description says it


def holds_bodies(schema: Mapping[str, Any]) -> bool:
    """Whether a field is a body of its own, or a list of bodies: their fields have the examples."""
    return schema.get("items", schema).get("$ref") in _BODIES
