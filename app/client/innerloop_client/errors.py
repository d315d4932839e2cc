"""What a call can raise, by what you can do about it.

InnerloopError
├── UnsupportedInput      an argument that cannot be sent, or that this call cannot use: change it
│   └── MissingExtra      a package that the value needs is not installed
├── ConnectionFailed      no connection, or the answer broke off: check the URL, or try again
├── UnexpectedAnswer      the server at this URL is not Innerloop: check the URL
├── FileNotWritten        the answer has come, but the file could not be written: choose another path
└── ServerError           the request was refused or not answered in time; if the server failed (500), see its log
    ├── InvalidRequest    correct the request (400, 405, 413, 415, 422, 431)
    │   └── Diverged      the inner loop diverged: `losses` has the support losses
    ├── Unauthorized      a proxy before the server refused the API key: send another one (401, 403)
    ├── NotFound          there is no such model, adaptation or example (404)
    │   └── Expired       the adaptation has expired: adapt again (410)
    ├── Conflict          the adaptation does not allow it (409)
    │   └── OtherVersion  the model is being replaced again and again: try again
    ├── Overloaded        try again later (429, 502, 503)
    ├── DeadlinePassed    allow more time (504)
    └── QuotaExceeded     delete adaptations (507)
"""

from collections.abc import Mapping
from math import isfinite
from typing import Any


class InnerloopError(Exception):
    """Any error of this package."""

    def __str__(self) -> str:
        return printable(super().__str__())


class UnsupportedInput(InnerloopError, TypeError):
    """An argument that cannot be sent, or that this call cannot use."""


class MissingExtra(UnsupportedInput, ImportError):
    """A value needs a package that is not installed."""


class ConnectionFailed(InnerloopError, ConnectionError):
    """No complete answer came from the server."""


class UnexpectedAnswer(InnerloopError):
    """The answer does not come from Innerloop."""


class FileNotWritten(InnerloopError, OSError):
    """What the server sent could not be written to a file."""


class ServerError(InnerloopError):
    """The server or a proxy refused the request, the server failed, or no answer came within the timeout.

    A failure of the server (500) raises this class itself: see the log of the server. The fields are those of the
    server's problem document (RFC 9457). If none came, only `status` and `detail` say something.

    status: the status code; 504 if no answer came within the timeout
    type: the kind of error, such as `urn:problem-type:innerloop:invalid`
    title: the kind of error in words
    detail: what is wrong, and how to fix it
    place: the path of the wrong field, such as `support.inputs[4]`, or the name of a parameter; empty if it is neither
    problem: the whole document
    """

    def __init__(self, problem: Mapping[str, Any]) -> None:
        self.status: int = problem["status"]
        self.type: str = problem.get("type", "about:blank")
        self.title: str = printable(problem.get("title", ""))
        place: str = printable(problem.get("place", ""))
        self.place = place.removeprefix("path.").removeprefix("query.")
        said = printable(problem["detail"])
        detail = said or self.title or f"the server answered with status {self.status}"
        self.detail = detail.removeprefix(place.removesuffix(self.place))
        super().__init__(self.detail)
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


class OtherVersion(Conflict):
    """Another version of the model answers than the request is for. A call is repeated for that version."""

    @property
    def digest(self) -> str:
        """Of the version that answers."""
        return str(self.problem["model_digest"])


class Overloaded(ServerError):
    """The server cannot answer now. Try again later."""


class DeadlinePassed(ServerError):
    """The server did not answer within the timeout."""

    @property
    def is_silent(self) -> bool:
        """Whether no answer came at all. Otherwise the server says that this request was late."""
        return not self.title


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


MAX_DIGITS = 60
"""Digits of a whole number that a message repeats."""
MAX_SHOWN = 200
"""Most characters of a wrong value in a message."""


def shown(value: Any) -> str:
    """A wrong value in a message."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  of whole numbers with thousands of digits, and of objects of the user
        return f"a value of type {type(value).__name__}"
    longest = MAX_DIGITS if isinstance(value, int) else MAX_SHOWN
    return text if len(text) <= longest else f"{text[:longest]}..."


def printable(text: str) -> str:
    """A text with halves of surrogate pairs as escapes: a stream in UTF-8 refuses them."""
    return text.encode(errors="backslashreplace").decode()


def reason(error: Exception) -> str:
    """An error of another library, or of an object of the user, in a message."""
    try:
        text = str(error).partition("\n")[0]
    except Exception:  # noqa: BLE001  of the error itself
        text = ""
    return f"{type(error).__name__}: {text[:MAX_SHOWN]}" if text else type(error).__name__


def is_problem(body: Any) -> bool:
    """Whether an answer is a problem document."""
    if not isinstance(body, Mapping) or not isinstance(body.get("detail"), str):
        return False
    if not all(isinstance(body.get(name, ""), str) for name in ("type", "title", "place")):
        return False
    status = body.get("status")
    return isinstance(status, int) and 400 <= status < 600


def are_losses(values: list[Any]) -> bool:
    """Whether these can be support losses: numbers that a float can hold, or None for those that are not finite."""
    return all(
        each is None or (type(each) is float and isfinite(each)) or (type(each) is int and abs(each) < 2**64)
        for each in values
    )


def server_error(problem: Mapping[str, Any]) -> ServerError:
    """The error of a problem document."""
    status, losses = problem["status"], problem.get("losses")
    if isinstance(losses, list) and are_losses(losses):
        return Diverged(problem)
    if isinstance(problem.get("model_digest"), str):
        return OtherVersion(problem)
    return BY_STATUS.get(status, InvalidRequest if status < 500 else ServerError)(problem)


def renamed(error: ServerError, place: str, argument: str) -> ServerError:
    """The same error of an argument, where its place is that of the request; any other error as it is."""
    if error.place != place:
        return error
    detail = f"{argument}{error.detail.removeprefix(place)}"
    return server_error({**error.problem, "detail": detail, "place": argument})


PROXY_FIXES: Mapping[int, str] = {
    401: "send another API key: set INNERLOOP_API_KEY or api_key",
    403: "send another API key: set INNERLOOP_API_KEY or api_key",
    429: "try again later",
    502: "check that the server behind it runs, or try again later",
    503: "check that the server behind it runs, or try again later",
    504: "allow more time, with the proxy and with timeout",
}
"""What to do about an error of a proxy, which sends no problem document."""


def proxy_error(status: int, url: str) -> ServerError | None:
    """The error of a proxy before the server; None for a status that rather is of another server."""
    if status not in PROXY_FIXES:
        return None
    detail = f"{url}: a proxy before Innerloop answered with status {status}: {PROXY_FIXES[status]}"
    return server_error({"status": status, "detail": detail})


def deadline_passed(what: str) -> ServerError:
    """The error of a call whose answer does not come in time."""
    return server_error({"status": 504, "detail": f"{what}: set a larger timeout, or check that the server runs"})
