"""Paths and methods as clients write them: HEAD, a slash at the end, and the prefix of a proxy."""

import json
import re
from collections.abc import Callable

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient

from service_tests.api.requests import adapt, body, predictions


@pytest.mark.parametrize(
    "path", ["/health/live", "/health/ready", "/models", "/models/sinusoid", "/docs", "/openapi.json"]
)
def test_head_is_get_without_the_body(serve_live: Callable[..., str], path: str) -> None:
    with httpx.Client(base_url=serve_live()) as client:
        got, head = client.get(path), client.head(path)
        assert head.status_code == got.status_code == 200
        assert head.content == b""
        assert head.headers["content-length"] == str(len(got.content))
        assert head.headers["content-type"] == got.headers["content-type"]
        assert client.get(path).content == got.content, "the connection goes on"


def test_head_of_weights_and_of_what_is_not_there(client: TestClient) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    assert client.head(f"/adaptations/{adaptation_id}/weights").status_code == 200
    assert client.head("/models/cosinusoid").status_code == 404
    refused = client.head("/adapt")
    assert (refused.status_code, refused.headers["allow"], refused.content) == (405, "POST", b"")


def test_allow_names_head_and_patch(client: TestClient) -> None:
    assert client.put("/models").headers["allow"] == "GET, HEAD"
    assert client.put("/adaptations/1/").headers["allow"] == "DELETE, GET, HEAD, PATCH"


def test_a_slash_at_the_end_is_answered(client: TestClient) -> None:
    assert client.get("/models/", follow_redirects=False).json() == client.get("/models").json()
    answer = client.post("/adapt/", json=body(), follow_redirects=False)
    assert answer.status_code == 201
    adaptation_id = answer.json()["adaptation_id"]
    posted = {"adaptation_id": adaptation_id, "queries": [[1.0]]}
    assert client.post("/predict/", json=posted).json() == client.post("/predict", json=posted).json()
    assert client.get(f"/adaptations/{adaptation_id}/history/?x=1").status_code == 200
    assert client.get("/nothing/").json()["detail"].startswith("GET /nothing: expected a path that exists")
    assert client.get("///").json()["detail"].startswith("GET /: expected a path that exists")


def test_a_path_that_does_not_exist_is_named_as_the_client_asked_for_it(serve: Callable[..., TestClient]) -> None:
    client = serve(root_path="/ml")
    for asked, named in (
        ("/ml", "/ml"),
        ("/ml/", "/ml/"),
        ("/ml/nothing/", "/ml/nothing"),
        ("/nothing", "/ml/nothing"),
        ("/ml/static-offline-docs/nothing", "/ml/static-offline-docs/nothing"),
    ):
        detail = f"GET {named}: expected a path that exists, got an unknown one: /ml/docs lists all endpoints"
        assert client.get(asked).json()["detail"] == detail


@pytest.mark.parametrize("sent", ["/innerloop", ""], ids=["the proxy keeps the prefix", "the proxy removes it"])
def test_a_prefix_of_a_proxy(serve: Callable[..., TestClient], sent: str) -> None:
    client = serve(root_path="/innerloop")
    assert client.get(f"{sent}/health/live").json() == {"status": "live"}
    answer = client.post(f"{sent}/adapt", json=body())
    assert answer.status_code == 201
    path = f"{sent}/adaptations/{answer.json()['adaptation_id']}"
    assert client.get(f"{path}/").status_code == 200
    assert client.put(path).headers["allow"] == "DELETE, GET, HEAD, PATCH"
    page = client.get(f"{sent}/docs").text
    assert "url: '/innerloop/openapi.json'" in page
    for script in re.findall(r'(?:src|href)="/innerloop(/.*?)"', page):
        assert client.get(sent + script).status_code == 200
    assert client.get(f"{sent}/openapi.json").json()["servers"] == [{"url": "/innerloop"}]


def test_without_a_prefix_the_document_names_no_server(client: TestClient) -> None:
    assert "servers" not in client.get("/openapi.json").json()
    assert client.get("/innerloop/models").status_code == 404


def test_the_fast_path_answers_as_the_others(serve: Callable[..., TestClient]) -> None:
    plain, prefixed = serve(), serve(root_path="/a")
    adaptation_id = adapt(plain)["adaptation_id"]
    expected = predictions(plain, adaptation_id)
    sent = json.dumps(body(queries=[[-3.0], [-0.5], [1.0], [2.5]]))
    answer = prefixed.post("/a/predict", content=sent, headers={"content-type": "application/json"}).json()
    np.testing.assert_allclose(answer["predictions"], expected, atol=1e-5)
