"""Asking a server at --url, a request at a time, for what it answers as it is."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Literal
from urllib.parse import quote

import httpx
import typer

from app.cli.answers import body_of
from app.cli.console import printable
from app.cli.server_connection import TIMEOUT_S, errors_of
from app.errors import InnerloopError, expectation, shown
from innerloop_client import Expired, NotFound, ServerError
from innerloop_client.answers import answer, foreign
from innerloop_client.blocking import finish
from innerloop_client.connection_options import Options
from innerloop_client.session import Call, Session
from innerloop_client.transport import BlockingTransport

Url = Annotated[str, typer.Option(envvar="INNERLOOP_URL", help="URL of the server.")]
"""The default is that of the client. The API key is INNERLOOP_API_KEY."""
AsJson = Annotated[bool, typer.Option("--json", help="Print the server's answer, which is JSON, as it is.")]
RETRIES = 5

WORDS = {
    "path.name": "MODEL",
    "query.model": "--model",
    "adaptation_id": "ID",
    "steps": "--steps",
    "learning_rate": "--learning-rate",
    "ttl_s": "--ttl",
    "label": "--label",
    "assess": "--assess",
    "interval": "--interval",
}
"""The fields of a request and the arguments of the command line that they come from."""
ROW = re.compile(r"(?:support\.)?(rows|inputs|targets|episodes|queries)\[(\d+)\](?:\[(\d+)\])?\.?(.*)")
"""The place of a value in a row of a body."""
LISTS_IDS = "`innerloop adaptations ls` lists them"
LONGEST = 200
"""Characters of an id or the name of a model."""


class Asking:
    """A server that answers, or raises the error that its answer describes."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, form: type, collection: Literal["adaptations", "models"], *path: str, **params: Any) -> Any:
        """The decoded answer to a GET. form: one of `app.cli.answers`; path: as for `path_of`"""
        present = {name: value for name, value in params.items() if value is not None}
        return body_of(self.send(Call("GET", path_of(collection, *path), params=present)), form)

    def send(self, call: Call) -> httpx.Response:
        """The answer to a call, of the type that it accepts; without a body for DELETE."""
        reply = finish(self._session.send(call))
        response = reply.response
        if call.method == "DELETE" and reply.repeated and reply.not_found:  # an earlier attempt has deleted it
            return response
        if response.is_error:
            answer(response)
        if not _is_answer(response, call):
            raise foreign(response)
        return response


def _is_answer(response: httpx.Response, call: Call) -> bool:
    """Whether a success is one of Innerloop, rather than the web page of a portal."""
    if call.method == "DELETE":
        return response.status_code == httpx.codes.NO_CONTENT
    media = response.headers.get("content-type", "")
    is_success = response.status_code in (httpx.codes.OK, httpx.codes.CREATED)
    return is_success and bool(response.content) and media.startswith(call.accept)


@contextmanager
def asking(url: str, timeout: float = TIMEOUT_S, retries: int = RETRIES) -> Iterator[Asking]:
    """Connect to a server. The errors of the client become those of a command, as `errors_of` has it."""
    with errors_of("--url", url), httpx.Client() as http:
        yield Asking(Session(BlockingTransport(http), Options.read(url, None, timeout, retries)))


def check_text(text: str | None) -> str | None:
    """The value of an option. Raises BadParameter for one that is not UTF-8."""
    try:
        (text or "").encode()
    except UnicodeEncodeError as error:
        raise typer.BadParameter("expected a text in UTF-8") from error
    return text


def check_model(text: str) -> None:
    """Raise InnerloopError for what cannot be the name of a model."""
    if not _is_name(text):
        raise InnerloopError(expectation("MODEL", "the name of a model", shown(printable(text))))


def check_id(text: str) -> None:
    """Raise InnerloopError for what cannot be an id."""
    if not _is_name(text):
        raise InnerloopError(expectation("ID", "the id of an adaptation", shown(printable(text)), LISTS_IDS))


def _is_name(text: str) -> bool:
    """Whether a text can be a part of a path: with `.` or a slash, it would be another path."""
    return text.isprintable() and "/" not in text and text not in ("", ".", "..") and len(text) <= LONGEST


def path_of(collection: Literal["adaptations", "models"], name: str | None = None, *rest: str) -> str:
    """The path of a collection, or of one of its members. Raises InnerloopError for a name that cannot be one."""
    if name is None:
        return f"/{collection}"
    (check_id if collection == "adaptations" else check_model)(name)
    return "/".join(["", collection, quote(name, safe=""), *rest])


@contextmanager
def in_words(
    line: Callable[[int], str] = "row {}".format,
    names: Mapping[str, str] | None = None,
    columns: Mapping[str, Sequence[str]] | None = None,
) -> Iterator[None]:
    """Say which argument or line of a file is wrong, where the server names a field of the request.

    line: what the row of a number is in the file
    names: the columns that were renamed: the server's name to the user's
    columns: the columns whose order alone the server knows, for `inputs`, `targets` and `queries`
    """
    try:
        yield
    except ServerError as error:
        if isinstance(error, NotFound) and not isinstance(error, Expired) and error.place == "adaptation_id":
            actual = error.detail.partition(", got ")[2].partition(": ")[0]
            raise InnerloopError(expectation("ID", "the id of a stored adaptation", actual, LISTS_IDS)) from error
        place = error.place
        if not place or not error.detail.startswith(place):
            raise
        raise InnerloopError(
            _words(place, line, names or {}, columns or {}) + error.detail.removeprefix(place)
        ) from error


def _words(
    place: str, line: Callable[[int], str], names: Mapping[str, str], columns: Mapping[str, Sequence[str]]
) -> str:
    """The place in words of the command line."""
    word = WORDS.get(place) or WORDS.get(place.removeprefix("query."))
    if word:
        return word
    row = ROW.fullmatch(place)
    if row:
        group, index, number, rest = row.groups()
        known = columns.get(group, ())
        if number is not None:
            rest = (known[int(number)] if int(number) < len(known) else f"[{number}]") + rest
        elif len(known) == 1:
            rest = known[0]
        place = line(int(index)) + (f", {rest}" if rest else "")
    head, comma, name = place.rpartition(", ")
    return f"{head}{comma}{names.get(name, name)}"
