"""The OpenAPI document: FastAPI's, with the schemas of the wire that msgspec makes."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.routing import APIRoute

from app.api import openapi_examples as examples
from app.api import schemas
from app.api.client_headers import KEY_PATTERN, MAX_KEY_LENGTH, MAX_WAIT_MS
from app.api.codec import JSON, MSGPACK, NDJSON
from app.api.csv_requests import CSV, parameters
from app.api.error_responses import STATUS, problem, problem_type
from app.api.media_types import EVENTS
from app.api.openapi_schemas import wire_schemas
from app.errors import InnerloopError

INTRODUCTION = """\
Innerloop serves models that learn from a handful of examples. An *adaptation* is a model adapted to one *support set*,
which is a few labelled examples. The server stores it under an id.

1. `POST /adapt` with a `model` and a `support` set. The answer has an `adaptation_id`.
2. `POST /predict` with this `adaptation_id` and `queries`. The answer has `predictions`.

To send a request from this page, open an endpoint and press **Try it out**, then **Execute**. Write a msgpack body as
JSON: the page encodes it. An error is a problem document (RFC 9457) that names the field and the fix. The guide is in
the folder `app/docs` of the source code; start with `http.md`.
"""
"""What the document says first."""
ADAPT_AND_PREDICT, ADAPTATIONS, MODELS, HEALTH = "Adapt and predict", "Adaptations", "Models", "Health"
TAGS = [
    {
        "name": ADAPT_AND_PREDICT,
        "description": "Adapt a model to a support set, then predict with the adaptation. Bodies are JSON, msgpack or "
        "CSV. In msgpack, arrays of numbers in an answer are `RawArray`s.",
    },
    {
        "name": ADAPTATIONS,
        "description": "List, change and delete stored adaptations. Each change of the examples adapts again and makes "
        "the next revision.",
    },
    {"name": MODELS, "description": "Which models the server serves, and which requests each of them takes."},
    {"name": HEALTH, "description": "Probes for the orchestrator or load balancer in front of the server."},
]
"""The groups of routes, in their order."""


def _reference(form: type[msgspec.Struct]) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{form.__name__}"}}


def _text(description: str, **bounds: int) -> dict[str, Any]:
    return {"schema": {"type": "string", "description": description, **bounds}}


def request_docs(form: type[schemas.RequestBody], example: Mapping[str, Any], ndjson: bool = False) -> dict[str, Any]:
    """`openapi_extra` of a route whose body is `form`, with an example to try out.

    ndjson: whether it takes many bodies, one a line
    """
    content = {media: _reference(form) | {"example": example} for media in (JSON.media, MSGPACK.media)}
    if ndjson:
        text = f"Many requests in one: one `{form.__name__}` as JSON on each line"
        content[NDJSON] = _text(text) | {"example": 2 * f"{json.dumps(example)}\n"}
    documented = header_docs(key=form in (schemas.AdaptRequest, schemas.MoreSupport))["parameters"]
    if form in examples.CSV_TEXTS:
        text = "A line with the names of the columns, then a line for each row. The other fields are query parameters"
        content[CSV] = _text(text, minLength=1) | {"example": examples.CSV_TEXTS[form]}
        values = examples.CSV_PARAMETERS.get(form, {})
        documented += [_csv_parameter(name, values) for name in parameters(form)]
    return {"requestBody": {"required": True, "content": content}, "parameters": documented}


def header_docs(key: bool = False) -> dict[str, Any]:
    """`openapi_extra` of a route that reads X-Timeout-Ms. key: whether it reads Idempotency-Key too."""
    return {"parameters": [_TIMEOUT, _KEY] if key else [_TIMEOUT]}


def _csv_parameter(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """A field of the body that is a query parameter where the body is CSV. Other bodies ignore it, whatever it is.

    /docs fills in its example, whatever the type of the body. values: the examples by name
    """
    description = f"Only with a `text/csv` body: what `{name}` is in a JSON body"
    parameter = {"name": name, "in": "query", "required": False, "schema": {"type": "string"}}
    return parameter | {"description": description} | ({"example": values[name]} if name in values else {})


def _header(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "schema": schema, "description": description}


_TIMEOUT = _header(
    "X-Timeout-Ms",
    {"type": "integer", "minimum": 1, "maximum": MAX_WAIT_MS},
    "Milliseconds that you wait for the answer, such as 10000. After that you get a 504, and the server drops work "
    "that has not begun. Without it, there is no limit",
)
_KEY = _header(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH, "pattern": f"^{KEY_PATTERN}$"},
    "Makes the request safe to repeat: with the same key, the same request takes effect only once. Take a new key, "
    "such as a UUID, for each new request. Without it, every request takes effect",
)


def response_docs(
    description: str,
    example: schemas.ResponseBody | None,
    status: int = 200,
    errors: tuple[type[InnerloopError], ...] = (),
    media: tuple[str, ...] = (JSON.media,),
) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route that answers like `example`, or with the problem documents of `errors`.

    example: None for an answer without a body
    media: the media types of the answer; streams and lines are described as text
    """
    answers: dict[int | str, dict[str, Any]] = {status: {"description": description}}
    if example is not None:
        answers[status]["content"] = {each: _content(each, example) for each in media}
    by_code: dict[int, list[type[InnerloopError]]] = {}
    for error in errors:
        if error not in by_code.setdefault(STATUS[error][0], []):
            by_code[STATUS[error][0]].append(error)
    return answers | {code: _problem_docs(group) for code, group in sorted(by_code.items())}


def _content(media: str, example: schemas.ResponseBody) -> dict[str, Any]:
    form, encoded = type(example), JSON.encoder.encode(example)
    if media == NDJSON:
        text = f"One `{form.__name__}` or `Problem` as JSON on each line, in the order of the requests"
        return _text(text) | {"example": encoded.decode() + "\n"}
    if media == CSV:
        text = "A line with the names of the columns, then a line for each query"
        return _text(text) | {"example": examples.CSV_ANSWER}
    if media == EVENTS:
        text = (
            f"An event `step` (`{schemas.Step.__name__}`) for each loss as soon as it is known, then `result` "
            f"(`{form.__name__}`) or `problem` (`{schemas.Problem.__name__}`)"
        )
        return _text(text) | {"example": examples.EVENTS}
    return _reference(form) | ({"example": json.loads(encoded)} if media == JSON.media else {})


def _problem_docs(errors: list[type[InnerloopError]]) -> dict[str, Any]:
    """The errors with the same status: what each means, and an example of its problem document."""
    meanings = [examples.ERRORS[error][0] for error in errors]
    documents = {
        problem_type(error).rpartition(":")[2]: {
            "summary": STATUS[error][1],
            "value": json.loads(JSON.encoder.encode(problem(examples.ERRORS[error][1]))),
        }
        for error in errors
    }
    content = {"application/problem+json": _reference(schemas.Problem) | {"examples": documents}}
    text = meanings[0] if len(meanings) == 1 else "\n".join(f"- {meaning}" for meaning in meanings)
    return {"description": text, "content": content}


def operation_id(route: APIRoute) -> str:
    """The name of a route in generated clients: that of its function, such as `listAdaptations`."""
    first, *others = route.name.split("_")
    return first + "".join(map(str.capitalize, others))


def install(app: FastAPI) -> None:
    """Add the schemas of the wire to the application's document; remove FastAPI's own error, which is never sent."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = plain()
            document["components"] = {"schemas": wire_schemas()}
            for operations in document["paths"].values():
                for operation in operations.values():
                    if "HTTPValidationError" in str(operation["responses"].get("422")):
                        del operation["responses"]["422"]
                    for parameter in operation.get("parameters", []):
                        _refuse_null(parameter["schema"])
            _link_adaptations(document["paths"])
        return plain()

    app.openapi = openapi  # type: ignore[method-assign]


def _link_adaptations(paths: dict[str, Any]) -> None:
    """Say which operations take the id of a new adaptation."""
    names = [
        operation["operationId"]
        for path, operations in paths.items()
        if path.startswith("/adaptations/{id}")
        for operation in operations.values()
    ]
    parameters = {"id": "$response.body#/adaptation_id"}
    paths["/adapt"]["post"]["responses"]["201"]["links"] = {
        name: {"operationId": name, "parameters": parameters} for name in names
    }


def _refuse_null(schema: dict[str, Any]) -> None:
    """Say only what an optional parameter is: an address or a header has no null, which FastAPI adds."""
    options = [option for option in schema.get("anyOf", []) if option != {"type": "null"}]
    if len(options) == 1:
        del schema["anyOf"]
        schema |= options[0]
