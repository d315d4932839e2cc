import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from app.cli.checks import server
from service_tests.cli.commands import innerloop
from service_tests.processes import serving_in_a_thread


@pytest.fixture
def another_server() -> Iterator[str]:
    """The URL of a server that is not Innerloop: it has no path at all."""
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@pytest.fixture
def refusing_proxy() -> Iterator[tuple[str, list[str]]]:
    """The URL of a proxy that refuses all keys, and the keys that it gets."""
    keys: list[str] = []

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        keys.append(dict(scope["headers"])[b"authorization"].decode())
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b"<html>"})

    with serving_in_a_thread(refuse) as url:
        yield url, keys


def test_a_server_that_is_ready(serve_live: Callable[..., str]) -> None:
    url = serve_live()
    finding = server.check(f"{url}/")
    assert finding.mark == "ok"
    assert "is ready, and serves choices, driving, " in finding.message


def test_a_server_with_a_damaged_bundle(serve_live: Callable[..., str], own_models: Path) -> None:
    (own_models / "linear/bundle.json").write_text("{}")
    finding = server.check(serve_live(models_dir=own_models))
    assert finding.mark == "warning"
    assert " answers: degraded. models: linear: " in finding.message


def test_a_server_without_bundles(serve_live: Callable[..., str], tmp_path: Path) -> None:
    finding = server.check(serve_live(models_dir=tmp_path))
    assert finding.mark == "problem"
    assert finding.message.endswith(
        " cannot answer: no bundle is loaded. Run `innerloop doctor` on its machine, with its settings"
    )


def test_another_server(another_server: str) -> None:
    finding = server.check(another_server)
    assert finding.mark == "problem"
    assert finding.message == (
        f"{another_server}/health/ready: expected an answer from Innerloop, got status 501 from another "
        "server: check the URL"
    )


def test_no_server() -> None:
    finding = server.check("http://127.0.0.1:9")
    assert finding.mark == "problem"
    assert finding.message.startswith("INNERLOOP_URL: expected an answer from http://127.0.0.1:9, got ")
    assert finding.message.endswith(": start a server with `innerloop serve`, or correct the URL")


@pytest.mark.parametrize("url", ["localhost:8000", "http://[::1", "http://"])
def test_no_url(url: str) -> None:
    finding = server.check(url)
    assert finding.mark == "problem"
    assert finding.message.startswith("INNERLOOP_URL: expected a URL such as http://127.0.0.1:8000, got ")


def test_the_key_is_sent(refusing_proxy: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    url, keys = refusing_proxy
    monkeypatch.setenv("INNERLOOP_API_KEY", "s3cret")
    finding = server.check(url)
    assert keys == ["Bearer s3cret"]
    assert finding.message.endswith("answered with status 401: send another API key: set INNERLOOP_API_KEY")


def test_a_path_that_the_server_lacks(serve_live: Callable[..., str]) -> None:
    url = f"{serve_live()}/foo"
    message = f"expected the URL of a server, got {url}, which has no GET /foo/"
    finding = server.check(url)
    assert finding.message == f"INNERLOOP_URL: {message}health/ready: correct INNERLOOP_URL"
    result = innerloop("adaptations", "ls", "--url", url)
    assert result.stderr == f"--url: {message}adaptations: correct --url or INNERLOOP_URL\n"


def test_a_listener_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LIMIT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert server.check(url).message == f"{url} did not answer within 0.2 s: check that the server runs"
