"""A real server behind a proxy: forwarded headers, the access log, and the page /docs."""

import json
from pathlib import Path

import httpx
import pytest

from service_tests.api.requests import body
from service_tests.processes import MAML, command, starting_fork

FORWARDED = {"x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "https", "x-forwarded-prefix": "/innerloop/"}
SERVE = [command("innerloop"), "serve"]


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, object]:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/sinusoid").symlink_to(MAML)  # alone: the server starts in half the time
    return {"compile": False, "state_dir": tmp_path, "models_dir": tmp_path / "models", "access_log": True}


def test_headers_of_a_trusted_proxy_count(tmp_path: Path, settings: dict[str, object]) -> None:
    trusted = settings | {"trusted_proxies": "10.0.0.0/8, 127.0.0.1", "log_level": "warning"}
    with starting_fork(SERVE, tmp_path / "log", **trusted) as (url, _), httpx.Client(base_url=url) as client:
        document = client.get("/openapi.json", headers=FORWARDED).json()
        assert document["servers"] == [{"url": "/innerloop"}]
        assert "servers" not in client.get("/openapi.json").json(), "a prefix holds for its request alone"
        for path in ("/adapt", "/innerloop/adapt", "/adapt/"):
            assert client.post(path, json=body(), headers=FORWARDED).status_code == 201
        for evil in ("https://evil", "//evil", '/"><script>', "/'-alert(1)-'", "/a/../b", "/a, /b", "/" + 9999 * '"'):
            headers = FORWARDED | {"x-forwarded-prefix": evil, "x-forwarded-for": '1.2.3.4 - "GET /fake"'}
            page = client.get("/docs", headers=headers)
            assert page.text == client.get("/docs").text
        assert client.post("/adapt", json=body(), headers=FORWARDED | {"x-forwarded-prefix": "/x/"}).status_code == 201
    log = (tmp_path / "log").read_text()
    assert ' 203.0.113.7 - "POST /innerloop/adapt HTTP/1.1" 201' in log, (
        "the access log does not depend on the log level"
    )
    assert "127.0.0.1:" in log
    assert "1.2.3.4" not in log


def test_headers_of_anyone_else_do_not_count(tmp_path: Path, settings: dict[str, object]) -> None:
    others = settings | {"trusted_proxies": "10.0.0.1"}
    with starting_fork(SERVE, tmp_path / "log", **others) as (url, _), httpx.Client(base_url=url) as client:
        assert "servers" not in client.get("/openapi.json", headers=FORWARDED).json()
        assert client.post("/innerloop/adapt", json=body(), headers=FORWARDED).status_code == 404
        assert client.head("/models/?limit=1").status_code == 200
    log = (tmp_path / "log").read_text()
    assert "203.0.113.7" not in log
    assert '"HEAD /models/?limit=1 HTTP/1.1" 200' in log


def test_without_the_setting_there_is_no_access_log(tmp_path: Path, settings: dict[str, object]) -> None:
    quiet = settings | {"access_log": False}
    with starting_fork(SERVE, tmp_path / "log", **quiet) as (url, _):
        assert httpx.post(
            f"{url}/adapt", content=json.dumps(body()), headers={"content-type": "application/json"}
        ).is_success
    assert "POST /adapt" not in (tmp_path / "log").read_text()


def test_streams_are_not_held_back(tmp_path: Path, settings: dict[str, object]) -> None:
    with starting_fork(SERVE, tmp_path / "log", **settings) as (url, _):
        events = httpx.post(f"{url}/adapt", json=body(), headers={"accept": "text/event-stream"})
        lines = httpx.post(f"{url}/adapt", content=json.dumps(body()), headers={"content-type": "application/x-ndjson"})
        for answer in (events, lines):
            assert answer.headers["x-accel-buffering"] == "no"
            assert answer.headers["cache-control"] == "no-cache"
