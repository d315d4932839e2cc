"""Connections to a server: the client of the commands that learn over HTTP, and the errors of asking."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx

import innerloop_client
from app.cli.supported_systems import check_system
from app.errors import InnerloopError, expectation
from app.settings import Settings
from innerloop_client import AsyncClient, ConnectionFailed, Model, NotFound, UnexpectedAnswer
from innerloop_client.connection_options import KEY_VARIABLE, check_url
from innerloop_client.url_segments import segment

TIMEOUT_S = 120.0
"""Longest time that a command waits for an answer, with all repeats of the request."""
PHRASES = {
    "set a larger timeout, or ": "",
    "with the proxy and with timeout": "in the settings of the proxy",
    "set INNERLOOP_API_KEY or api_key": "set INNERLOOP_API_KEY",
    KEY_VARIABLE: "INNERLOOP_API_KEY",
}
"""What the client says of its arguments, which no option of a command sets, and what to say instead."""
IN_THIS_PROCESS = "http://innerloop"


@asynccontextmanager
async def connect(server: str | None) -> AsyncIterator[AsyncClient]:
    """A client of the server at this URL, or, for None, of one that runs in this process."""
    if server is not None:
        with errors_of("--server", server):
            async with AsyncClient(server, timeout=TIMEOUT_S) as client:
                yield client
        return
    check_system()
    from app.main import create_app  # the server takes a second to import, and `--help` does without

    application = create_app(Settings(compile=False, watch=False, store="memory"))
    http = httpx.AsyncClient(transport=httpx.ASGITransport(application))
    with errors_of("--server", IN_THIS_PROCESS):
        async with (
            application.router.lifespan_context(application),
            AsyncClient(IN_THIS_PROCESS, timeout=TIMEOUT_S, http=http) as client,
        ):
            yield client


@contextmanager
def errors_of(option: str, url: str) -> Iterator[None]:
    """Turn the errors of the client into those of a command. option: the one that has the URL

    Raises InnerloopError with the server's sentence where it refuses a request, and one that names the option where no
    server answers.
    """
    try:
        check_url(option, url)
        yield
    except ConnectionFailed as error:
        cause = error.__cause__ or error
        fix = "start a server with `innerloop serve`, or correct the URL"
        actual = f'"{str(cause) or type(cause).__name__}"'
        raise InnerloopError(expectation(option, f"an answer from {url}", actual, fix)) from error
    except innerloop_client.InnerloopError as error:
        raise InnerloopError(error_text(option, url, error)) from error
    except RecursionError as error:  # of the rows of a file
        raise InnerloopError(f"{option}: the request to {url} is nested too deeply") from error


def error_text(option: str, url: str, error: innerloop_client.InnerloopError) -> str:
    """What the client says, with what a user of commands can change. option: the one that has the URL"""
    if is_of_path(error):
        names = "--url or INNERLOOP_URL" if option == "--url" else option
        path = str(error).partition(": ")[0]
        return expectation(option, "the URL of a server", f"{url}, which has no {path}", f"correct {names}")
    lacks_url = isinstance(error, UnexpectedAnswer) and not str(error).startswith(("http://", "https://"))
    text = f"{url}: {error}" if lacks_url else str(error)
    for phrase, words in PHRASES.items():
        text = text.replace(phrase, words)
    return text


def is_of_path(error: Exception) -> bool:
    """Whether the server has no such endpoint: its problem has no type of its own."""
    return isinstance(error, NotFound) and error.type == "about:blank"


async def get_model(client: AsyncClient, bundle: str) -> Model:
    """What the server says of a model. Raises InnerloopError that names the argument `bundle` where it has none."""
    try:
        segment("bundle", bundle)
        return await client.model(bundle)
    except NotFound as error:
        if is_of_path(error):  # the caller knows the URL
            raise
        raise InnerloopError(f"bundle{error.detail.removeprefix(error.place)}") from error
