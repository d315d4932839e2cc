"""The client of commands with --url, with errors in the words of the command line."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Annotated, Any

import typer

from app.cli.console import printable
from app.cli.server_connection import TIMEOUT_S, errors_of
from app.errors import InnerloopError, expectation, shown
from innerloop_client import Adaptation, Client, Expired, NotFound, ServerError, UnsupportedInput
from innerloop_client.blocking import finish, iterate
from innerloop_client.client import RETRIES
from innerloop_client.client_methods import listed
from innerloop_client.paths import segment
from innerloop_client.remote_adaptation import delete
from innerloop_client.session import Call, Reply
from innerloop_client.value_encoding import sendable

Url = Annotated[str, typer.Option(envvar="INNERLOOP_URL", help="URL of the server.")]
"""The default is that of the client. The API key is INNERLOOP_API_KEY."""
AsJson = Annotated[bool, typer.Option("--json", help="Print the server's answer, which is JSON, as it is.")]

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


class Asking(Client):
    """A client that also returns answers as they are. Read their fields within `reading`."""

    def get(self, path: str, **params: Any) -> Any:
        """The decoded answer to a GET."""
        return finish(self._session.get(path, **params))

    def check(self, body: Mapping[str, Any], **expected: Any) -> None:
        """Raise UnexpectedAnswer unless a body describes an adaptation with these fields."""
        Adaptation(self._session, body, **expected)

    def listed(self, **params: Any) -> Iterator[Any]:
        """The stored adaptations as the server describes them. params: of the URL"""
        return iterate(listed(self._session, **params))

    def send(self, call: Call) -> Reply:
        """The reply to a call. If it is an error, `body` raises it."""
        return finish(self._session.send(call))

    def delete(self, path: str) -> None:
        """Delete an adaptation."""
        finish(delete(self._session, path))


@contextmanager
def asking(url: str, timeout: float = TIMEOUT_S, retries: int = RETRIES) -> Iterator[Asking]:
    """Connect to a server. The errors of the client become those of a command, as `errors_of` has it."""
    with errors_of("--url", url), closing(Asking(url, timeout=timeout, retries=retries)) as server:
        yield server


def check_text(text: str | None) -> str | None:
    """The value of an option. Raises BadParameter for one that is not UTF-8."""
    if not sendable(text or ""):
        raise typer.BadParameter("expected a text in UTF-8")
    return text


def check_model(text: str) -> None:
    """Raise InnerloopError for what cannot be the name of a model."""
    _escaped(text, "MODEL", "the name of a model")


def check_id(text: str) -> None:
    """Raise InnerloopError for what cannot be the id of an adaptation."""
    path_of(text)


def path_of(id: str) -> str:
    """The path of an adaptation. Raises InnerloopError for what cannot be an id."""
    return f"/adaptations/{_escaped(id, 'ID', 'the id of an adaptation', LISTS_IDS)}"


def _escaped(text: str, argument: str, expected: str, fix: str = "") -> str:
    """An argument as a part of a path. Raises InnerloopError."""
    try:
        escaped = segment(argument, text)
    except UnsupportedInput:
        escaped = ""
    if not escaped or "/" in text:  # no name has a slash: the server would answer 404
        raise InnerloopError(expectation(argument, expected, shown(printable(text)), fix))
    return escaped


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
        with suppress(IndexError):  # another server may name a row that the file lacks
            place = line(int(index)) + (f", {rest}" if rest else "")
    head, comma, name = place.rpartition(", ")
    return f"{head}{comma}{names.get(name, name)}"
