"""The OpenAPI document: FastAPI's, with the schemas of the wire that msgspec makes."""

from typing import Any

import msgspec
from fastapi import FastAPI

from app.api import schemas
from app.api.client import KEY_PATTERN, MAX_KEY_LENGTH, MAX_WAIT_MS
from app.api.codec import JSON, MSGPACK, NDJSON
from app.api.media_types import CODECS
from app.api.problems import STATUS
from app.errors import InnerloopError

_BASES = (schemas.RequestBody, schemas.ResponseBody)
WIRE = [
    value
    for value in vars(schemas).values()
    if isinstance(value, type) and issubclass(value, _BASES) and value not in _BASES
]


def _reference(form: type[msgspec.Struct]) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{form.__name__}"}}


def request_docs(form: type[schemas.RequestBody], example: dict[str, Any], ndjson: bool = False) -> dict[str, Any]:
    """`openapi_extra` of a route whose body is `form`, with an example to try out.

    ndjson: whether it takes many bodies, one a line
    """
    content = {JSON.media: _reference(form) | {"example": example}, MSGPACK.media: _reference(form)}
    if ndjson:
        content[NDJSON] = {"schema": {"type": "string", "description": f"A `{form.__name__}` a line"}}
    body: dict[str, Any] = {"requestBody": {"required": True, "content": content}}
    return body | header_docs(key=form is not schemas.PredictRequest)


def header_docs(key: bool = False) -> dict[str, Any]:
    """`openapi_extra` of a route that reads X-Timeout-Ms. key: whether it reads Idempotency-Key too."""
    return {"parameters": [_TIMEOUT, _KEY] if key else [_TIMEOUT]}


def _header(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "schema": schema, "description": description}


_TIMEOUT = _header(
    "X-Timeout-Ms",
    {"type": "integer", "minimum": 1, "maximum": MAX_WAIT_MS},
    "Milliseconds that the client waits for the answer; after that it gets 504",
)
_KEY = _header(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH, "pattern": f"^{KEY_PATTERN}$"},
    "Makes a request safe to repeat: the same key and body are one request",
)


def response_docs(
    form: type[schemas.ResponseBody] | None,
    status: int = 200,
    errors: tuple[type[InnerloopError], ...] = (),
    media: tuple[str, ...] = (JSON.media,),
) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route that answers with `form`, or with the problem documents of `errors`.

    media: the media types of the answer; streams and lines are described as text
    """
    answers: dict[int | str, dict[str, Any]] = {status: {"description": "Done."}}
    if form is not None:
        plain = {each: _reference(form) if each in CODECS else {"schema": {"type": "string"}} for each in media}
        answers[status] = {"description": (form.__doc__ or "").strip(), "content": plain}
    for error in errors:
        code, title = STATUS[error]
        problem = {"description": title, "content": {"application/problem+json": _reference(schemas.Problem)}}
        answer = answers.setdefault(code, problem)
        if title not in answer["description"]:
            answer["description"] += f"; {title.lower()}"
    return answers


def install(app: FastAPI) -> None:
    """Add the schemas of the wire to the application's document; remove FastAPI's own error, which is never sent."""
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
