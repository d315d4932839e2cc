import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from app.cli.checks import server


@pytest.fixture
def another_server() -> Iterator[str]:
    """The URL of a server that is not Innerloop: it has no path at all."""
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


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
    assert f"an answer from Innerloop at {another_server}, got status 501 from another server" in finding.message


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "localhost:8000", "http://[", "http://"])
def test_no_server(url: str) -> None:
    finding = server.check(url)
    assert finding.mark == "problem"
    assert finding.message.startswith(f"INNERLOOP_URL: expected an answer from {url}, got ")
    assert finding.message.endswith(": start a server with `innerloop serve`, or correct the URL")
