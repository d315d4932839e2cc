"""The OpenAPI document: FastAPI's, with the schemas of the wire that msgspec makes."""

from typing import Any

import msgspec
from fastapi import FastAPI

from app import schemas
from app.api.problems import STATUS
from app.errors import InnerloopError

_BASES = (schemas.Request, schemas.Answer)
WIRE = [
    value
    for value in vars(schemas).values()
    if isinstance(value, type) and issubclass(value, _BASES) and value not in _BASES
]


def _reference(form: type[msgspec.Struct]) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{form.__name__}"}}


def takes(form: type[schemas.Request], example: dict[str, Any]) -> dict[str, Any]:
    """`openapi_extra` of a route whose body is `form`, with one to try out."""
    return {"requestBody": {"required": True, "content": {"application/json": _reference(form) | {"example": example}}}}


def gives(
    form: type[schemas.Answer] | None, status: int = 200, errors: tuple[type[InnerloopError], ...] = ()
) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route that answers with `form`, or with the problem documents of `errors`."""
    answers: dict[int | str, dict[str, Any]] = {status: {"description": "Done."}}
    if form is not None:
        description = (form.__doc__ or "").strip()
        answers[status] = {"description": description, "content": {"application/json": _reference(form)}}
    for error in errors:
        code, title = STATUS[error]
        problem = {"description": title, "content": {"application/problem+json": _reference(schemas.Problem)}}
        said = answers.setdefault(code, problem)
        if title not in said["description"]:
            said["description"] += f"; {title.lower()}"
    return answers


def install(app: FastAPI) -> None:
    """Add the schemas of the wire to the document of the application, and take out FastAPI's own error, never sent."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = plain()
            _, wire = msgspec.json.schema_components(WIRE, ref_template="#/components/schemas/{name}")
            document["components"] = {"schemas": wire}
            for operations in document["paths"].values():
                for operation in operations.values():
                    if "HTTPValidationError" in str(operation["responses"].get("422")):
                        del operation["responses"]["422"]
        return plain()

    app.openapi = openapi  # type: ignore[method-assign]
