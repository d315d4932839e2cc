"""The OpenAPI document: FastAPI's, with the schemas of the wire that msgspec makes."""

from typing import Any

import msgspec
from fastapi import FastAPI

from app import schemas
from app.api.problems import STATUS
from app.errors import InnerloopError

WIRE = [
    value
    for value in vars(schemas).values()
    if isinstance(value, type) and issubclass(value, (schemas.Request, schemas.Answer))
]


def _reference(form: type[msgspec.Struct]) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{form.__name__}"}}


def takes(form: type[schemas.Request]) -> dict[str, Any]:
    """`openapi_extra` of a route whose body is `form`."""
    return {"requestBody": {"required": True, "content": {"application/json": _reference(form)}}}


def gives(
    form: type[schemas.Answer], status: int = 200, errors: tuple[type[InnerloopError], ...] = ()
) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route that answers with `form`, or with the problem documents of `errors`."""
    answers: dict[int | str, dict[str, Any]] = {
        status: {"description": (form.__doc__ or "").strip(), "content": {"application/json": _reference(form)}}
    }
    for error in errors:
        code, title = STATUS[error]
        said = answers.setdefault(code, {"description": title, "content": {"application/problem+json": _PROBLEM}})
        if title not in said["description"]:
            said["description"] += f"; {title.lower()}"
    return answers


_PROBLEM = _reference(schemas.Problem)


def install(app: FastAPI) -> None:
    """Add the schemas of the wire to the document of the application."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _, wire = msgspec.json.schema_components(WIRE, ref_template="#/components/schemas/{name}")
            plain().setdefault("components", {}).setdefault("schemas", {}).update(wire)
        return plain()

    app.openapi = openapi  # type: ignore[method-assign]
