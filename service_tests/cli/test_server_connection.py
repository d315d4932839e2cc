"""The errors of asking a server, as commands print them."""

import asyncio

import pytest
from starlette.types import Receive, Scope, Send

import innerloop_client
from app.cli.server_connection import connect, errors_of, get_model
from app.errors import InnerloopError
from innerloop_client.connection_options import check_url
from service_tests.processes import serving_in_a_thread


def ask_for_a_model(url: str) -> object:
    async def ask() -> object:
        async with connect(url) as client:
            return await get_model(client, "nothing")

    return asyncio.run(ask())


def test_a_refusal_has_the_servers_sentence(live_server: str) -> None:
    with pytest.raises(InnerloopError, match=r'^bundle: expected one of choices, .*, got "nothing"$'):
        ask_for_a_model(live_server)


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (200, "expected an answer from Innerloop, got status 200 from another server"),
        (504, "a proxy before Innerloop answered with status 504: allow more time, in the settings of the proxy"),
        (401, "a proxy before Innerloop answered with status 401: send another API key: set INNERLOOP_API_KEY"),
    ],
)
def test_another_server_is_told_from_ours(status: int, says: str) -> None:
    async def elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"<html>"})

    with (
        serving_in_a_thread(elsewhere) as url,
        pytest.raises(InnerloopError, match=f"{url}/models/nothing: {says}(:|$)"),
    ):
        ask_for_a_model(url)


def test_a_password_is_refused_and_not_shown() -> None:
    with (
        pytest.raises(InnerloopError, match=r"^--url: leave out user:password@") as error,
        errors_of("--url", "http://user:s3cret@127.0.0.1:9"),
    ):
        pass
    assert "s3cret" not in str(error.value)


def test_an_impossible_key_has_the_name_of_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNERLOOP_API_KEY", "é☃")
    with pytest.raises(InnerloopError, match=r"^INNERLOOP_API_KEY: expected printable ASCII characters, got others$"):
        ask_for_a_model("http://127.0.0.1:9")


@pytest.mark.parametrize("url", ["nonsense", "http://[::1", "ftp://localhost", "http://127.0.0.1:74448"])
def test_a_url_that_is_none_is_named(url: str) -> None:
    with pytest.raises(
        innerloop_client.InnerloopError, match=r"^--url: expected a URL such as http://127\.0\.0\.1:8000, got "
    ):
        check_url("--url", url)
