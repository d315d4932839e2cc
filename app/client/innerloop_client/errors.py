"""What a call can raise, by what you can do about it.

InnerloopError
├── UnsupportedInput      a value that cannot be sent: convert it
│   └── MissingExtra      a package that the value needs is not installed
├── ConnectionFailed      no answer came: check the URL, or try again
├── UnexpectedAnswer      the server at this URL is not Innerloop
└── ServerError           the server answered with a problem; the message is the server's
    ├── InvalidRequest    correct the request (400, 405, 413, 415, 422, 431)
    │   └── Diverged      the inner loop diverged: `losses` has the support losses
    ├── Unauthorized      send another API key (401, 403)
    ├── NotFound          there is no such model, adaptation or example (404)
    │   └── Expired       the adaptation has expired (410)
    ├── Conflict          the adaptation does not allow it (409)
    ├── Overloaded        try again later (429, 502, 503)
    ├── DeadlinePassed    allow more time (504)
    └── QuotaExceeded     delete adaptations (507)
"""

from collections.abc import Mapping
from typing import Any


class InnerloopError(Exception):
    """Any error of this package."""


class UnsupportedInput(InnerloopError, TypeError):
    """A value that cannot be sent."""


class MissingExtra(UnsupportedInput, ImportError):
    """A package is missing that a value needs."""


class ConnectionFailed(InnerloopError, ConnectionError):
    """No complete answer came from the server."""


class UnexpectedAnswer(InnerloopError):
    """The answer is not one of Innerloop."""


class ServerError(InnerloopError):
    """The server answered with a problem document (RFC 9457).

    status: the status code; 500 and the like are this class itself
    type: the kind of error, such as `urn:problem-type:innerloop:invalid`
    title: the kind of error in words
    detail: what is wrong, and how to fix it
    place: the path of the wrong field, such as `support.inputs[4]`; empty if it is not one field
    problem: the whole document
    """

    def __init__(self, problem: Mapping[str, Any]) -> None:
        super().__init__(problem["detail"])
        self.status: int = problem["status"]
        self.type: str = problem.get("type", "about:blank")
        self.title: str = problem.get("title", "")
        self.detail: str = problem["detail"]
        self.place: str = problem.get("place", "")
        self.problem = problem

    def __reduce__(self) -> tuple[Any, ...]:
        """To pickle: the document is the only argument."""
        return type(self), (self.problem,)


class InvalidRequest(ServerError):
    """A field of the request is invalid."""


class Diverged(InvalidRequest):
    """The inner loop diverged, and the server stored nothing."""

    @property
    def losses(self) -> list[float | None]:
        """The support loss before the first step and after each step; None if not finite."""
        return list(self.problem["losses"])


class Unauthorized(ServerError):
    """The API key is missing or wrong."""


class NotFound(ServerError):
    """There is no such model, adaptation or example."""


class Expired(NotFound):
    """The adaptation has expired."""


class Conflict(ServerError):
    """The adaptation does not allow this change."""


class Overloaded(ServerError):
    """The server cannot answer now. Try again later."""


class DeadlinePassed(ServerError):
    """The server did not answer within the timeout."""


class QuotaExceeded(ServerError):
    """The quota of adaptations or of bytes is used up."""


BY_STATUS: Mapping[int, type[ServerError]] = {
    401: Unauthorized,
    403: Unauthorized,
    404: NotFound,
    409: Conflict,
    410: Expired,
    429: Overloaded,
    502: Overloaded,
    503: Overloaded,
    504: DeadlinePassed,
    507: QuotaExceeded,
}
"""Other 4xx are InvalidRequest, other 5xx ServerError."""


def server_error(problem: Mapping[str, Any]) -> ServerError:
    """The error of a problem document."""
    if "losses" in problem:
        return Diverged(problem)
    status = problem["status"]
    return BY_STATUS.get(status, InvalidRequest if status < 500 else ServerError)(problem)
