"""Web pages of other origins (CORS), and middleware of the user's own."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.settings import Settings
from service_tests.api.requests import adapt, body

PAGE = "https://example.com"
PREFLIGHT = {"origin": PAGE, "access-control-request-method": "POST", "access-control-request-headers": "content-type"}


def test_a_page_of_a_listed_origin_may_call(serve: Callable[..., TestClient]) -> None:
    client = serve(cors_origins=f"{PAGE}, http://localhost:3000")
    preflight = client.options("/adapt", headers=PREFLIGHT)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == PAGE
    assert {"GET", "POST", "PATCH", "DELETE"} <= {*preflight.headers["access-control-allow-methods"].split(", ")}
    assert "content-type" in preflight.headers["access-control-allow-headers"]
    answer = client.post("/adapt", json=body(), headers={"origin": PAGE})
    assert answer.status_code == 201
    assert answer.headers["access-control-allow-origin"] == PAGE
    wrong = client.post("/adapt", json={}, headers={"origin": PAGE})
    assert (wrong.status_code, wrong.headers["access-control-allow-origin"]) == (422, PAGE)
    for method in ("PATCH", "DELETE"):
        headers = PREFLIGHT | {"access-control-request-method": method}
        assert client.options("/adaptations/1", headers=headers).status_code == 200


def test_a_page_of_another_origin_may_not(serve: Callable[..., TestClient]) -> None:
    client, headers = serve(cors_origins=PAGE), PREFLIGHT | {"origin": "https://example.org"}
    assert "access-control-allow-origin" not in client.options("/adapt", headers=headers).headers
    assert "access-control-allow-origin" not in client.get("/models", headers=headers).headers


def test_any_origin_may_be_allowed(serve: Callable[..., TestClient]) -> None:
    answer = serve(cors_origins="*").get("/models", headers={"origin": "null"})
    assert answer.headers["access-control-allow-origin"] == "*"


def test_by_default_no_page_may_call(client: TestClient) -> None:
    assert client.options("/adapt", headers=PREFLIGHT).status_code == 405
    assert "access-control-allow-origin" not in client.get("/models", headers={"origin": PAGE}).headers


@pytest.mark.parametrize("origins", ["example.com", "https://example.com/", "https://example.com/page", "*, x"])
def test_an_origin_of_another_form_is_refused(origins: str) -> None:
    with pytest.raises(ValidationError, match="expected origins such as https"):
        Settings(cors_origins=origins)


@pytest.mark.parametrize("proxies", ["localhost", "10.0.0.0/99", "nginx, 10.0.0.1"])
def test_a_proxy_that_is_no_address_is_refused(proxies: str) -> None:
    with pytest.raises(ValidationError, match="expected addresses, networks"):
        Settings(trusted_proxies=proxies)


@pytest.mark.parametrize("root_path", ["ml", "/a b", "/a?b", "/a%20b", "/a/../b", "//b", '/"><script>', "/a, /b"])
def test_a_prefix_that_is_no_path_is_refused(root_path: str) -> None:
    with pytest.raises(ValidationError, match="expected a path such as /innerloop"):
        Settings(root_path=root_path)


def test_a_prefix_may_end_with_a_slash_but_is_no_endpoint() -> None:
    assert Settings(root_path="/ml/").root_path == "/ml"
    assert not Settings(root_path="/").root_path
    with pytest.raises(
        ValidationError,
        match="a prefix that does not begin like an endpoint, got '/models': choose another, such as /inn",
    ):
        Settings(root_path="/models")


def test_proxies_and_origins_are_normalised() -> None:
    assert Settings(trusted_proxies="10.0.0.0/8, *").trusted_proxies == ("*",)
    assert Settings(cors_origins="https://A.Example").cors_origins == ("https://a.example",)
    with pytest.raises(ValidationError, match="no port that is the default"):
        Settings(cors_origins="https://a.example:443")


class Stamp:
    """Middleware of a user: it adds a header, and refuses what has another one."""

    def __init__(self, app: ASGIApp, value: str) -> None:
        self._app = app
        self._value = value.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-stamp", self._value)]
            await send(message)

        await self._app(scope, receive, stamped)


def test_middleware_of_ones_own_sees_every_request(models_dir: Path, reused_models: None) -> None:
    from app.main import create_app

    settings = Settings(models_dir=models_dir, compile=False, watch=False, store="memory")
    application = create_app(settings, middleware=[Middleware(Stamp, value="first")])
    application.add_middleware(Stamp, value="added")
    with TestClient(application) as client:
        for answer in (
            client.post("/adapt", json=body()),
            client.post("/predict/", json=body(queries=[[1.0]])),
            client.get("/models"),
            client.head("/health/live/"),
            client.post("/adapt", json={}),
        ):
            assert answer.headers.get_list("x-stamp") == ["first", "added"], answer.request.url
        assert client.post("/adapt", json=body()).status_code == 201


def test_without_middleware_the_answers_are_the_same(client: TestClient) -> None:
    assert "x-stamp" not in client.get("/models").headers
    assert adapt(client)["status"] == "improved"
