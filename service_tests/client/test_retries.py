"""Requests that are sent again: after which answers, and never with a second effect."""

import asyncio
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pandas
import pytest
from starlette.types import Receive, Scope, Send

from innerloop_client import (
    AsyncClient,
    Client,
    ConnectionFailed,
    DeadlinePassed,
    InnerloopError,
    InvalidRequest,
    NotFound,
    Overloaded,
    Task,
    UnexpectedAnswer,
    UnsupportedInput,
)
from innerloop_client.retries import MAX_S, Attempts, backoff_s, retry_after_s
from service_tests.api.requests import WAVE
from service_tests.client.answering import Answering, trickling
from service_tests.client.flaky import Flaky
from service_tests.processes import free_port, serving_in_a_thread

X, Y = WAVE["inputs"], WAVE["targets"]


FAULTS = [("busy",), ("lost",), ("busy", "lost", "lost", "busy")]


@pytest.mark.parametrize("faults", FAULTS)
def test_an_adaptation_is_made_once(flaky_client: Client, flaky: Flaky, faults: tuple[str, ...]) -> None:
    flaky.spoil(*faults)
    pump = flaky_client.adapt("sinusoid", X, Y)
    keys = {headers["idempotency-key"] for _, _, headers in flaky.requests}
    assert (len(flaky.requests), len(keys)) == (len(faults) + 1, 1)
    assert [each.id for each in flaky_client.adaptations()] == [pump.id]
    flaky_client.adapt("sinusoid", X, Y)
    assert len(list(flaky_client.adaptations())) == 2, "another call has another key"


@pytest.mark.parametrize("faults", FAULTS)
def test_changes_are_made_once(flaky_client: Client, flaky: Flaky, faults: tuple[str, ...]) -> None:
    pump = flaky_client.adapt("sinusoid", X, Y)
    flaky.spoil(*faults)
    assert pump.extend([[3.0], [1.0]], [0.5, 3.4]).examples == [0, 1, 2, 3, 4, 5, 6]
    flaky.spoil(*faults)
    assert pump.extend([[2.5]], [0.7]).revision == 3
    flaky.spoil(*faults)
    assert pump.undo().examples == [0, 1, 2, 3, 4, 5, 6]
    flaky.spoil(*faults)
    assert pump.forget(5).examples == [0, 1, 2, 3, 4, 6]
    flaky.spoil(*faults)
    assert pump.edit(label="pump 17").label == "pump 17"
    flaky.spoil(*faults)
    pump.delete()
    assert list(flaky_client.adaptations()) == []


@pytest.mark.parametrize("faults", FAULTS)
def test_an_example_that_never_was_is_not_forgotten(
    flaky_client: Client, flaky: Flaky, faults: tuple[str, ...]
) -> None:
    pump = flaky_client.adapt("sinusoid", X, Y)
    flaky.spoil(*faults)
    with pytest.raises(NotFound):
        pump.forget(17)


def test_awaited_calls_are_repeated_too(flaky_url: str, flaky: Flaky) -> None:
    async def run() -> int:
        async with AsyncClient(flaky_url) as innerloop:
            flaky.spoil("lost", "busy")
            await innerloop.adapt("sinusoid", X, Y)
            return len([each async for each in innerloop.adaptations()])

    assert asyncio.run(run()) == 1


def test_what_is_wrong_is_not_repeated(flaky_client: Client, flaky: Flaky) -> None:
    with pytest.raises(InvalidRequest):
        flaky_client.adapt("sinusoid", X, Y[1:])
    assert len(flaky.requests) == 1


def test_it_gives_up(flaky_url: str, flaky: Flaky) -> None:
    with Client(flaky_url, retries=2) as innerloop:
        flaky.spoil(*["busy"] * 5)
        with pytest.raises(Overloaded, match="the queue is full"):
            innerloop.models()
        assert len(flaky.requests) == 3
        flaky.spoil(*["lost"] * 5)
        with pytest.raises(ConnectionFailed, match="does not answer"):
            innerloop.models()
        assert len(flaky.requests) == 3


def test_it_does_not_wait_beyond_the_deadline(flaky_client: Client, flaky: Flaky) -> None:
    flaky.retry_after = b"3600"
    flaky.spoil("busy")
    with pytest.raises(Overloaded):
        flaky_client.adapt("sinusoid", X, Y, timeout=30)
    assert len(flaky.requests) == 1


def test_all_requests_of_a_call_share_the_timeout() -> None:
    frame = pandas.DataFrame({"x": [1.0]})
    late = pytest.raises(DeadlinePassed, match=r"within 0\.2 s")
    with Answering(trickling(b"", b"")) as server, Client(server.url) as innerloop, late:
        innerloop.predict("sinusoid", frame, timeout=0.2)
    assert [request.split(b" ", 2)[1] for request in server.requests] == [b"/models/sinusoid"]


def test_the_server_knows_the_deadline(flaky_client: Client, flaky: Flaky) -> None:
    flaky_client.adapt("sinusoid", X, Y, timeout=30)
    assert 29_000 < int(flaky.requests[-1][2]["x-timeout-ms"]) <= 30_000
    with pytest.raises((DeadlinePassed, ConnectionFailed)):
        flaky_client.adapt("sinusoid", X, Y, timeout=0.0001)


def test_no_server_at_all() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with Client(url, retries=1) as innerloop, pytest.raises(ConnectionFailed, match=f"{url} does not answer"):
        innerloop.health()


def test_another_server(tmp_path: Path) -> None:
    async def other(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"<p>Hello</p>"})

    with serving_in_a_thread(other) as url, Client(url) as innerloop:
        for call in (innerloop.health, innerloop.models):
            with pytest.raises(UnexpectedAnswer, match="check the URL"):
                call()


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "http://",
        "http://[::1",
        "http://x:port",
        "http://x/?y=1",
        "ftp://x",
        "http://xn--",
        "http://a b",
        "http://a..b",
        f"http://{64 * 'a'}.com",
        "http://127.0.0.1:74448",
        "http://[::1]:65536",
        "http://127.0.0.1:0",
        "http://127.0.0.1:\u0663",
    ],
)
def test_an_impossible_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(InnerloopError, match=r"^url: expected a URL such as"):
        Client(url)


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan"), float("inf"), 10**400, True, "10", None])
def test_an_impossible_timeout_is_refused(flaky_client: Client, flaky: Flaky, timeout: float) -> None:
    with pytest.raises(InnerloopError, match=r"^timeout: expected a number of seconds from above 0 to "):
        Client(timeout=timeout)
    if timeout is not None:
        with pytest.raises(
            InnerloopError, match=r"^timeout: expected a number of seconds from above 0 to 10 years, got "
        ):
            flaky_client.adapt("sinusoid", X, Y, timeout=timeout)
    assert flaky.requests == []


def test_other_impossible_options_are_refused() -> None:
    with pytest.raises(InnerloopError, match=r"^retries: expected a whole number from 0 on, got True$"):
        Client(retries=True)
    with pytest.raises(InnerloopError, match=r"^retries: expected a whole number from 0 on, got -1$"):
        Client(retries=-1)
    with pytest.raises(InnerloopError, match=r"^api_key: expected printable ASCII characters, got others$"):
        Client(api_key="s3cret\nHost: other")


def test_a_wrong_variable_of_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNERLOOP_API_KEY", "é☃")
    with pytest.raises(InnerloopError, match=r"^api_key \(INNERLOOP_API_KEY\): expected printable ASCII characters"):
        Client()
    monkeypatch.setenv("INNERLOOP_URL", "nonsense")
    with pytest.raises(InnerloopError, match=r"^url \(INNERLOOP_URL\): expected a URL such as"):
        Client()


@pytest.mark.parametrize("url", ["http://user:s3cret@127.0.0.1", "user:s3cret@127.0.0.1", "http://user:s3cret@x:port"])
def test_a_password_in_the_url_is_refused_and_never_shown(url: str) -> None:
    with pytest.raises(InnerloopError, match=r"^url: leave out user:password@: set INNERLOOP_API_KEY instead") as error:
        Client(url)
    assert "s3cret" not in str(error.value)
    assert "s3cret" not in repr(Client(api_key="s3cret")._session.options)


def test_a_url_of_httpx_is_one_too(flaky_url: str) -> None:
    with Client(httpx.URL(flaky_url)) as innerloop:
        assert innerloop.health().ready


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTP_PROXY", "foo://x"),
        ("HTTP_PROXY", "socks5://x:1"),
        ("HTTP_PROXY", "127.0.0.1:74448"),
        ("ALL_PROXY", "http://127.0.0.1:0"),
        ("SSL_CERT_FILE", "/none"),
    ],
)
def test_an_environment_that_httpx_cannot_use(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    for kind in (Client, AsyncClient):
        with pytest.raises(InnerloopError, match="HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY or SSL_CERT_FILE"):
            kind()


@pytest.mark.parametrize("variable", ["GRPC_PROXY", "FTP_PROXY", "_PROXY"])
def test_proxies_that_httpx_does_not_use_may_be_anything(
    monkeypatch: pytest.MonkeyPatch, flaky_url: str, variable: str
) -> None:
    monkeypatch.setenv(variable, "unix:abc")
    with Client(flaky_url) as innerloop:
        assert innerloop.health().ready


def test_a_proxy_without_a_bracket_is_not_one_without_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://[bad")
    with pytest.raises(InnerloopError, match="Invalid IPv6 URL"):
        Client()


def test_a_proxy_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("HTTP_PROXY", proxy.replace("//", "//user:s3cret@"))
    named = pytest.raises(ConnectionFailed, match=f"goes through {proxy}, from the environment")
    with Client("http://innerloop.invalid", retries=0) as innerloop, named:
        innerloop.health()


def test_a_closed_client_says_so() -> None:
    innerloop = Client()
    innerloop.close()
    innerloop.close()
    with pytest.raises(InnerloopError, match="the client is closed"):
        innerloop.health()


@pytest.mark.parametrize("key", ["ü", 5, "a\nb", "", "two words", "k" * 256])
def test_an_impossible_key_is_refused(flaky_client: Client, flaky: Flaky, key: str) -> None:
    task: Task = {"model": "sinusoid", "x": X, "y": Y}
    for call in (
        lambda: flaky_client.adapt("sinusoid", X, Y, idempotency_key=key),
        lambda: flaky_client.adapt_many([task], idempotency_key=key),
        lambda: list(flaky_client.adapt_stream("sinusoid", X, Y, idempotency_key=key)),
    ):
        with pytest.raises(UnsupportedInput, match=r"^idempotency_key: expected 1 to"):
            call()
    assert flaky.requests == []


@pytest.mark.parametrize("name", [None, "", "..", "../models", "\ud800", 5, "a\nb", "a" * 256])
def test_an_impossible_name_is_refused(flaky_client: Client, flaky: Flaky, name: str) -> None:
    for call in (flaky_client.adaptation, flaky_client.model):
        with pytest.raises(UnsupportedInput, match="expected a name or an id"):
            call(name)
    with pytest.raises(UnsupportedInput, match=r"^label: expected a text"):
        list(flaky_client.adaptations(label="\ud800"))
    with pytest.raises(UnsupportedInput, match="too long for a URL"):
        list(flaky_client.adaptations(label="a" * 70_000))
    assert flaky.requests == []


def test_the_environment_names_server_and_key(flaky_url: str, flaky: Flaky, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNERLOOP_URL", flaky_url + "/")
    monkeypatch.setenv("INNERLOOP_API_KEY", "s3cret")
    with Client() as innerloop:
        innerloop.models()
    assert flaky.requests[-1][1:] == ("/models", flaky.requests[-1][2])
    assert flaky.requests[-1][2]["authorization"] == "Bearer s3cret"


def test_waits_grow_up_to_a_bound() -> None:
    longest = [max(backoff_s(attempt) for _ in range(200)) for attempt in range(12)]
    assert longest[0] <= 0.1 < longest[3] <= 0.8
    assert longest[11] <= MAX_S


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [("7", 7, 7), ("", 0, 0), ("soon", 0, 0), ("-1", 0, 0)]
    + [(text, 0, 0) for text in ("²", "Wed, 21 Oct 999999999999 07:28:00 GMT", "Mon, 1 Jan 2020 00:00 +99999999999")],
)
def test_retry_after_is_seconds(header: str, least: float, most: float) -> None:
    assert least <= asked_s(header) <= most


def test_retry_after_is_a_date() -> None:
    now = datetime.fromtimestamp(time.time(), UTC)
    assert 58 < asked_s(format_datetime(now + timedelta(seconds=60), usegmt=True)) <= 60
    assert asked_s(format_datetime(now - timedelta(seconds=60), usegmt=True)) == 0


def asked_s(header: str) -> float:
    return retry_after_s(httpx.Response(503, headers=[(b"retry-after", header.encode("latin-1"))]))


SILENT = httpx.ReadTimeout("")


@pytest.mark.parametrize(
    ("timeout", "silences"),
    [(600, [60, 120, 600]), (60, [6, 12, 60]), (20, [5, 20]), (9, [9]), (0.5, [0.5])],
)
def test_the_first_attempts_take_a_part_of_the_timeout(timeout: float, silences: list[float]) -> None:
    attempts = Attempts(timeout, retries=5)
    for silence in silences:
        assert attempts.silence_s(timeout) == silence
        assert attempts.wait_s(error=SILENT) is not None


@pytest.mark.parametrize("timeout", [6, 15, 17, 20, 25, 30, 34, 50, 60, 600])
def test_a_call_that_takes_two_thirds_of_the_timeout_succeeds(timeout: float) -> None:
    attempts, left = Attempts(timeout, retries=5), float(timeout)
    while (silence := attempts.silence_s(left)) < left:
        left -= silence + MAX_S / 50
        assert attempts.wait_s(error=SILENT) is not None
    assert left >= timeout / 1.5


@pytest.mark.parametrize(
    ("kind", "http", "expected"),
    [
        (Client, "x", r"expected an httpx\.Client, got 'x'"),
        (Client, httpx.Client, r"expected an httpx\.Client, got <class"),
        (AsyncClient, 5, r"expected an httpx\.AsyncClient, got 5"),
    ],
)
def test_connections_of_another_kind(kind: Any, http: Any, expected: str) -> None:
    with pytest.raises(InnerloopError, match=f"^http: {expected}"):
        kind(http=http)


def test_waits_are_bounded_after_any_number_of_attempts() -> None:
    assert 0 <= backoff_s(5000) <= MAX_S


def test_only_silence_counts() -> None:
    attempts = Attempts(60, retries=5)
    for error in (None, httpx.ConnectError(""), httpx.RemoteProtocolError("")):
        attempts.wait_s(error=error)
    assert attempts.silence_s(60) == 6


def test_the_last_attempt_takes_all_that_is_left() -> None:
    assert Attempts(60, retries=0).silence_s(60) == 60
    attempts = Attempts(60, retries=1)
    assert attempts.silence_s(60) == 6
    assert attempts.wait_s(error=SILENT) is not None
    assert attempts.silence_s(54) == 54
    assert attempts.wait_s(error=SILENT) is None


def test_connections_belong_to_one_event_loop(url: str) -> None:
    http, loop = httpx.AsyncClient(), asyncio.new_event_loop()
    with closing(loop):
        loop.run_until_complete(AsyncClient(url, http=http).health())
        with pytest.raises(InnerloopError, match=r"^http: an httpx.AsyncClient belongs to the event loop"):
            asyncio.run(AsyncClient(url, http=http).health())
        loop.run_until_complete(http.aclose())


@pytest.mark.parametrize("error", [ValueError, RuntimeError])
def test_what_a_hook_of_the_user_raises(url: str, error: type[Exception]) -> None:
    def fail(*arguments: Any) -> None:
        raise error("my hook")

    async def fail_later(*arguments: Any) -> None:
        fail()

    async def run() -> None:
        async with httpx.AsyncClient(event_hooks={"request": [fail_later]}) as http:
            await AsyncClient(url, http=http).health()

    with httpx.Client(event_hooks={"response": [fail]}) as http, pytest.raises(error, match="my hook"):
        Client(url, http=http).health()
    with pytest.raises(error, match="my hook"):
        asyncio.run(run())


def test_a_client_belongs_to_one_event_loop(url: str) -> None:
    client, loop = AsyncClient(url), asyncio.new_event_loop()
    with closing(loop):
        assert loop.run_until_complete(client.health()).ready
        for call in (client.health, client.close):
            with pytest.raises(InnerloopError, match=r"^an AsyncClient belongs to the event loop that uses it first"):
                asyncio.run(call())
        loop.run_until_complete(client.close())
