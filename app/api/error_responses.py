"""The responses of errors: problem documents (RFC 9457), by one table."""

import asyncio
import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from msgspec import UNSET
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api import parameter_patterns
from app.api.codec import JSON
from app.api.csv_requests import as_parameter
from app.api.paths import route_path
from app.api.responses import losses_array
from app.api.schemas import Problem
from app.errors import (
    BodyTooLarge,
    DeadlinePassed,
    Diverged,
    ExpiredAdaptation,
    InnerloopError,
    Invalid,
    KeyReused,
    LastExample,
    Malformed,
    NothingToUndo,
    OtherVersion,
    Outgrown,
    Overloaded,
    PinnedBundleGone,
    QuotaExceeded,
    RequestError,
    StoreFailed,
    Unavailable,
    UnknownAdaptation,
    UnknownExample,
    UnknownModel,
    UnknownVersion,
    UnsupportedEncoding,
    UnsupportedMedia,
    expectation,
    shown,
)
from app.service.deadlines import ClientDisconnected

log = logging.getLogger(__name__)

STATUS: Mapping[type[Exception], tuple[int, str]] = {
    Malformed: (400, "The body cannot be read"),
    UnknownModel: (404, "Unknown model"),
    UnknownVersion: (404, "Unknown version of the model"),
    UnknownAdaptation: (404, "Unknown adaptation"),
    UnknownExample: (404, "Unknown example"),
    LastExample: (409, "The last example cannot be deleted"),
    NothingToUndo: (409, "Nothing to undo"),
    Outgrown: (409, "The new bundle does not accept the stored examples"),
    PinnedBundleGone: (409, "The pinned bundle is gone"),
    OtherVersion: (409, "Another version of the model answers"),
    ExpiredAdaptation: (410, "Expired adaptation"),
    BodyTooLarge: (413, "Body too large"),
    UnsupportedMedia: (415, "Unsupported media type"),
    UnsupportedEncoding: (415, "Unsupported content encoding"),
    Invalid: (422, "Invalid request"),
    Diverged: (422, "The inner loop diverged"),
    KeyReused: (422, "The idempotency key was used for another request"),
    Overloaded: (503, "Overloaded"),
    StoreFailed: (503, "The store failed"),
    DeadlinePassed: (504, "The deadline passed"),
    QuotaExceeded: (507, "The quota is used up"),
}
"""The status and title of each error that a client can meet."""


def install(app: FastAPI) -> None:
    """Answer every error of the application with a problem document."""
    app.add_exception_handler(InnerloopError, _innerloop_error)
    app.add_exception_handler(RequestValidationError, _parameter_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(ClientDisconnected, _gone)
    app.add_exception_handler(Exception, _unexpected)


def problem_type(error: type[Exception]) -> str:
    """The URI of a type of problem, such as urn:problem-type:innerloop:unknown-model."""
    slug = re.sub(r"(?<!^)(?=[A-Z])", "-", error.__name__).lower()
    return f"urn:problem-type:innerloop:{slug}"


def _answer(problem: Problem) -> Response:
    response = JSON.respond(problem, problem.status)
    response.headers["content-type"] = "application/problem+json"
    return response


def problem(error: Exception) -> Problem:
    """An error as a client sees it. One without a status is logged, because its document only refers to the log."""
    if type(error) not in STATUS:
        log.error("a request failed", exc_info=error)
    return _document(error)


def _document(error: Exception) -> Problem:
    if type(error) not in STATUS:
        detail = "The server met an unexpected error: its log has the cause"
        return Problem(type="about:blank", title="Internal Server Error", status=500, detail=detail)
    status, title = STATUS[type(error)]
    return Problem(
        type=problem_type(type(error)),
        title=title,
        status=status,
        detail=str(error),
        place=(error.place if isinstance(error, RequestError) else "") or UNSET,
        losses=losses_array(error.losses) if isinstance(error, Diverged) else UNSET,
        models=list(error.models) if isinstance(error, UnknownModel) else UNSET,
        model_digest=error.digest if isinstance(error, OtherVersion) else UNSET,
    )


async def _innerloop_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, InnerloopError)
    if isinstance(error, Invalid):
        error = as_parameter(error, request.headers.get("content-type", ""))
    return _response(error)


def _response(error: InnerloopError) -> Response:
    response = _answer(problem(error))
    if isinstance(error, Unavailable) and not isinstance(error, DeadlinePassed):
        response.headers["Retry-After"] = "1"
    return response


def outermost(application: FastAPI) -> ASGIApp:
    """The application as a server calls it: a request that is cancelled because the server stops gets a 503.

    Otherwise uvicorn would log a traceback for each. FastAPI's own outermost layer is left out: it looks for
    OpenTelemetry at each request.
    """
    application.middleware_stack = stack = application.build_middleware_stack()

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = application
        try:
            await stack(scope, receive, send)
        except asyncio.CancelledError:
            response = _response(Overloaded.stopping())
            with suppress(RuntimeError):  # a response has begun already, and is cut off
                await response(scope, receive, send)

    return serve


async def _parameter_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    actual = shown(str(first["input"])) if first["type"] != "missing" else "none"
    return _answer(_document(Invalid(place, _expected(first), actual)))


def _expected(error: Mapping[str, Any]) -> str:
    """What pydantic expects of a parameter."""
    match error["type"]:
        case "greater_than_equal":
            return f"a whole number of at least {error['ctx']['ge']}"
        case "less_than_equal":
            return f"a whole number of at most {error['ctx']['le']}"
        case "int_parsing" | "int_parsing_size":
            return "a whole number"
        case "string_pattern_mismatch":
            return parameter_patterns.EXPECTED[error["ctx"]["pattern"]]
    return str(error["msg"])


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status, methods = HTTPStatus(error.status_code), _methods(request)
    # Starlette adds the path of mounted files to `root_path`, and keeps the one before in `app_root_path`
    root = request.scope.get("app_root_path", request.scope.get("root_path", ""))
    expected, actual = "a path that exists", "an unknown one"
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        expected, actual = " or ".join(methods), request.method
    detail = expectation(
        f"{request.method} {request.scope['path']}", expected, actual, f"{root}/docs lists all endpoints"
    )
    response = _answer(Problem(type="about:blank", title=status.phrase, status=status, detail=detail))
    response.headers.update(error.headers or {})
    if methods:
        response.headers["Allow"] = ", ".join(methods)
    return response


def _methods(request: Request) -> list[str]:
    """All documented methods of the path, for Allow; starlette names only those of the first route that matches."""
    document, requested = request.app.openapi()["paths"], route_path(request.scope)
    methods = {
        method.upper() for path in document if compile_path(path)[0].match(requested) for method in document[path]
    }
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)


async def _gone(request: Request, error: Exception) -> Response:
    """The client disconnected: nobody reads this response, and there is no failure to log."""
    return Response(status_code=HTTPStatus.BAD_REQUEST)


async def _unexpected(request: Request, error: Exception) -> Response:
    response = _answer(_document(error))
    if request.scope["http_version"].startswith("1"):  # HTTP/2 has no such header
        response.headers["Connection"] = "close"  # the error is raised again for uvicorn, which logs it and disconnects
    return response
