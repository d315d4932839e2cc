"""Asking a server at --url, a request at a time, for what it answers as it is."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import typer

from app.cli.connecting import TIMEOUT_S, errors_of
from app.errors import InnerloopError, expectation
from innerloop_client import Expired, NotFound, ServerError, UnexpectedAnswer
from innerloop_client.answers import answer
from innerloop_client.blocking import finish
from innerloop_client.options import Options
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
ROW = re.compile(r"(?:support\.)?(?:rows|inputs|targets|episodes|queries)\[(\d+)\](.*)")
"""The place of a value in a row of a body."""


class Asking:
    """A server that answers, or raises the error that its answer describes."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, *path: str, **params: Any) -> Any:
        """The decoded answer to a GET. path: its parts, which may have any characters"""
        return finish(self._session.get(path_of(*path), **params))

    def send(self, call: Call) -> httpx.Response:
        """The answer to any other call; of the type that the call accepts, if it has a body."""
        reply = finish(self._session.send(call))
        response = reply.response
        if call.method == "DELETE" and reply.repeated and reply.not_found:  # an earlier attempt has deleted it
            return response
        if response.is_error:
            answer(response)
        if response.content and not response.headers.get("content-type", "").startswith(call.accept):
            raise UnexpectedAnswer(f"{response.url}: expected an answer from Innerloop, got another: check the URL")
        return response


@contextmanager
def asking(url: str, timeout: float = TIMEOUT_S, retries: int = RETRIES) -> Iterator[Asking]:
    """Connect to a server. The errors of the client become those of a command, as `errors_of` has it."""
    with errors_of("--url", url), httpx.Client() as http:
        yield Asking(Session(BlockingTransport(http), Options.read(url, None, timeout, retries)))


def path_of(*parts: str) -> str:
    """A path of the server."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


@contextmanager
def in_words(line: Callable[[int], str] = "row {}".format, names: Mapping[str, str] | None = None) -> Iterator[None]:
    """Say which argument or line of a file is wrong, where the server names a field of the request.

    line: what the row of a number is in the file
    names: the columns that were renamed: the server's name to the user's
    """
    try:
        yield
    except ServerError as error:
        if isinstance(error, NotFound) and not isinstance(error, Expired) and error.place == "adaptation_id":
            actual = error.detail.partition(", got ")[2].partition(": ")[0]
            fix = "`innerloop adaptations ls` lists them"
            raise InnerloopError(expectation("ID", "the id of a stored adaptation", actual, fix)) from error
        place = error.place
        if not place or not error.detail.startswith(place):
            raise
        raise InnerloopError(_words(place, line, names or {}) + error.detail.removeprefix(place)) from error


def _words(place: str, line: Callable[[int], str], names: Mapping[str, str]) -> str:
    """The place in words of the command line."""
    word = WORDS.get(place) or WORDS.get(place.removeprefix("query."))
    if word:
        return word
    row = ROW.fullmatch(place)
    if row:
        rest = row[2].removeprefix(".")
        place = line(int(row[1])) + (f", {rest}" if rest else "")
    head, comma, name = place.rpartition(", ")
    return f"{head}{comma}{names.get(name, name)}"
