"""The client of commands with --url, with errors in the words of the command line."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Annotated, Any

import httpx
import typer

from app.cli.option_words import NO_FILE, Source, command_line_words
from app.cli.server_connection import TIMEOUT_S, errors_of
from app.errors import InnerloopError, expectation, shown
from innerloop_client import Adaptation, Client, Expired, Model, NotFound, ServerError, UnsupportedInput
from innerloop_client.blocking import finish, iterate
from innerloop_client.client import RETRIES
from innerloop_client.client_methods import listed
from innerloop_client.descriptions import from_body
from innerloop_client.errors import OtherVersion
from innerloop_client.model_versions import Described, Version, for_version
from innerloop_client.remote_adaptation import delete
from innerloop_client.session import Call, Reply
from innerloop_client.url_segments import segment
from innerloop_client.value_encoding import sendable

Url = Annotated[str, typer.Option(envvar="INNERLOOP_URL", help="URL of the server.")]
"""The default is that of the client. The API key is INNERLOOP_API_KEY."""
AsJson = Annotated[bool, typer.Option("--json", help="Print the server's answer, which is JSON, as it is.")]

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

    def send_for(self, adaptation: Adaptation, request: Callable[[Model], Call]) -> Reply:
        """The reply to a call for the version of the model that an adaptation has. request: makes it for one"""

        async def send(models: Described) -> Reply:
            described = from_body(Model, await models.model(adaptation.model))
            reply = await self._session.send(request(described))
            if reply.response.status_code == httpx.codes.CONFLICT:
                raise reply.error
            return reply

        return finish(for_version(self._session, send, Version(adaptation.model_digest)))

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
        raise InnerloopError(expectation(argument, expected, shown(text), fix))
    return escaped


@contextmanager
def in_words(source: Source = NO_FILE) -> Iterator[None]:
    """Say which argument or line of a file is wrong, where the server names a field of the request."""
    try:
        yield
    except ServerError as error:
        if isinstance(error, NotFound) and not isinstance(error, Expired) and error.place == "adaptation_id":
            actual = error.detail.partition(", got ")[2].partition(": ")[0]
            raise InnerloopError(expectation("ID", "the id of a stored adaptation", actual, LISTS_IDS)) from error
        if isinstance(error, OtherVersion):
            raise InnerloopError("MODEL: another version has just replaced it: run the command again") from error
        detail = str(error.problem["detail"])
        said = command_line_words(source, detail, str(error.problem.get("place", "")))
        if said == detail:
            raise
        raise InnerloopError(said) from error
