"""Wrong requests get a problem document that names the field and the fix, and nothing is stored."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from app.api.error_responses import STATUS
from app.errors import DataError, RequestError
from service_tests.processes import SHIPPED

GOOD = {"model": "sinusoid", "support": {"inputs": [[0.1], [1.2]], "targets": [0.3, 0.9]}}
JSON = {"content-type": "application/json"}


def support(inputs: Any, targets: Any) -> dict[str, Any]:
    return {"model": "sinusoid", "support": {"inputs": inputs, "targets": targets}}


WRONG = [
    (support([[1], [2, 3]], [1, 2]), "support.inputs[1]: expected 1 number, got 2"),
    (support([[1], []], [1, 2]), "support.inputs[1]: expected 1 number, got 0"),
    (support([[1], [2]], [1, [2, 3]]), "support.targets[1]: expected 1 number, got 2"),
    (support([], []), "support.inputs: expected at least 1 element"),
    (support([[1]], []), "support.targets: expected at least 1 element"),
    ({"model": "sinusoid", "support": {"inputs": [[1]]}}, "support.targets: expected a value, got none: add the field"),
    (support([[1]], [None]), "support.targets[0]: expected a number, got null"),
    (support([[1], [2]], [1]), "support: expected as many inputs as targets, got 2 and 1"),
    (support([[1], ["2"]], [1, 2]), 'inputs[1][0]: expected a number, got "2": send it without quotes'),
    (support([[1], [2]], [1, "2"]), "expected a number"),
    (support([[1], [None]], [1, 2]), "support.inputs[1][0]: expected a number, got a missing value: "),
    (support([[[1]]], [1]), "support.inputs[0]: expected 1 number, got 1 x 1 numbers: send 1 number in each row"),
    (
        support([[1], [1e39]], [1, 2]),
        "support.inputs[1][0]: expected a finite float32 number, got 1e+39: scale the data",
    ),
    (
        support([[1]], [-1e39]),
        "support.targets[0]: expected a finite float32 number, got -1e+39: scale the data",
    ),
    (GOOD | {"steps": 101}, "steps: expected 0 to 100 for sinusoid, got 101"),
    (GOOD | {"steps": -1}, "steps: expected a whole number of at least 0, got -1"),
    (GOOD | {"steps": 1.5}, "steps: expected a whole number, got 1.5"),
    (GOOD | {"steps": True}, "steps: expected a whole number, got true"),
    (GOOD | {"steps": None}, "steps: expected a whole number, got null"),
    (GOOD | {"learning_rate": 5}, "expected a number above 0 and at most "),
    (GOOD | {"learning_rate": 0}, "expected a number above 0"),
    (GOOD | {"ttl_s": 0}, "ttl_s: expected a whole number of at least 1, got 0"),
    (GOOD | {"ttl_s": 10**9}, "ttl_s: expected at most 2678400 seconds (INNERLOOP_MAX_TTL_S), got 1000000000"),
    (GOOD | {"label": "x" * 201}, "label: expected at most 200 characters, got 201"),
    (GOOD | {"stepz": 3}, "stepz: expected one of the fields "),
    ({"model": "sinusoid"}, "support: expected a value, got none: add the field"),
    ([], "expected an object, got an array"),
]


@pytest.fixture
def client(serve: Callable[..., TestClient]) -> Iterator[TestClient]:
    client = serve(max_body_bytes=100_000, max_support_examples=1000)
    yield client
    assert client.get("/adaptations").json() == {"adaptations": []}, "a wrong request must store nothing"


def problem(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["status"] == status
    assert {"type", "title", "status", "detail"} <= document.keys()
    return document


@pytest.mark.parametrize(("body", "detail"), WRONG)
def test_a_wrong_value_is_refused(client: TestClient, body: Any, detail: str) -> None:
    document = problem(client.post("/adapt", json=body), 422)
    assert detail in document["detail"]
    assert document["type"] == "urn:problem-type:innerloop:invalid"


@pytest.mark.parametrize(("body", "detail"), [item for item in WRONG if "support" in item[0]])
def test_a_wrong_value_is_refused_by_predict(client: TestClient, body: Any, detail: str) -> None:
    if "ttl_s" in body or "label" in body:
        detail = "an unknown field"
    assert detail in problem(client.post("/predict", json=body | {"queries": [[1]]}), 422)["detail"]


@pytest.mark.parametrize(
    ("queries", "detail"),
    [
        ([], "queries: expected at least 1 element, got 0"),
        ([[1], [1, 2]], "queries[1]: expected 1 number, got 2"),
        ([["1"]], 'queries[0][0]: expected a number, got "1": send it without quotes'),
        ([[1], [1e39]], "queries[1][0]: expected a finite float32 number, got 1e+39: scale the data"),
        (None, "queries: expected an array, got null"),
    ],
)
def test_wrong_queries_are_refused(client: TestClient, queries: Any, detail: str) -> None:
    response = client.post("/predict", json={"model": "sinusoid", "queries": queries})
    assert detail in problem(response, 422)["detail"]


def test_an_unknown_model_gets_the_list_of_models(client: TestClient) -> None:
    for place, response in (
        ("model", client.post("/adapt", json=GOOD | {"model": "cosinusoid"})),
        ("model", client.post("/predict", json={"model": "cosinusoid", "queries": [[1]]})),
        ("path.name", client.get("/models/cosinusoid")),
        ("query.model", client.get("/adaptations?model=cosinusoid")),
    ):
        document = problem(response, 404)
        assert document["models"] == SHIPPED
        assert document["detail"] == f'{place}: expected one of {", ".join(SHIPPED)}, got "cosinusoid"'
        assert document["place"] == place


def test_an_unknown_id_gets_404(client: TestClient) -> None:
    for response in (
        client.get("/adaptations/nothing"),
        client.delete("/adaptations/nothing"),
        client.post("/predict", json={"adaptation_id": "nothing", "queries": [[1]]}),
    ):
        assert problem(response, 404)["type"] == "urn:problem-type:innerloop:unknown-adaptation"


@pytest.mark.parametrize("route", ["/adapt", "/predict"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"model": "sinusoid"',
        b"model=sinusoid",
        b'{"model": NaN}',
        b'{"model": "\xff"}',
        b"\xff\xfe{}",
        b'{"model": "\\ud800"}',
        b'{"support": {"inputs": [[NaN]], "targets": [Infinity]}}',
        b"[" * 50_000,
        b'{"a":' * 15_000,
        b'{"model": ' + b"[" * 50_000,
    ],
)
def test_invalid_json_is_refused(client: TestClient, route: str, body: bytes) -> None:
    response = client.post(route, content=body, headers=JSON)
    assert response.status_code in (400, 422)
    problem(response, response.status_code)


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" + "0" * 400, "1" + "0" * 5000])
def test_huge_numbers_are_refused(client: TestClient, number: str) -> None:
    body = f'{{"model": "sinusoid", "support": {{"inputs": [[{number}]], "targets": [1]}}}}'
    response = client.post("/adapt", content=body, headers=JSON)
    assert response.status_code in (400, 422)
    problem(response, response.status_code)


@pytest.mark.parametrize("media", [None, "text/plain", "application/x-www-form-urlencoded", "application/xml"])
def test_another_media_type_gets_415(client: TestClient, media: str | None) -> None:
    headers = {"content-type": media} if media else {}
    document = problem(client.post("/adapt", content=b"{}", headers=headers), 415)
    assert (
        "Content-Type: expected one of application/json, application/msgpack, text/csv, application/x-ndjson, got "
        in document["detail"]
    )


def test_parameters_of_the_media_type_do_not_matter(client: TestClient) -> None:
    body = b'{"model": "sinusoid", "queries": [[1]]}'
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    assert client.post("/predict", content=body, headers=headers).status_code == 200


def in_parts(size: int) -> Iterator[bytes]:
    for _ in range(size // 1000):
        yield b" " * 1000


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_over_the_limit_gets_413(client: TestClient, declared: bool) -> None:
    content = b" " * 200_000 if declared else in_parts(200_000)
    document = problem(client.post("/adapt", content=content, headers=JSON), 413)
    assert "body: expected at most 100000 bytes (INNERLOOP_MAX_BODY_BYTES), got more: " in document["detail"]


def test_too_many_examples_are_refused(client: TestClient) -> None:
    document = problem(client.post("/adapt", json=support([[1]] * 1001, [1] * 1001)), 422)
    expected = "support: expected at most 1000 examples (INNERLOOP_MAX_SUPPORT_EXAMPLES), got 1001: send fewer examples"
    assert document["detail"] == expected


@pytest.mark.parametrize("route", ["/adapt", "/predict"])
@pytest.mark.parametrize("huge", [1e4, 1e30])
def test_a_diverging_inner_loop_gets_a_problem_with_its_losses(client: TestClient, route: str, huge: float) -> None:
    body = support([[huge], [-huge]], [huge, huge]) | {"steps": 3}
    document = problem(client.post(route, json=body if route == "/adapt" else body | {"queries": [[1]]}), 422)
    assert document["type"] == "urn:problem-type:innerloop:diverged"
    assert len(document["losses"]) == 4
    assert document["losses"][-1] is None or document["losses"][-1] > 100 * document["losses"][0]
    assert document["detail"].startswith("The inner loop diverged: the support loss grew ")
    fix = "Check the units of the examples, or send fewer `steps` or a smaller `learning_rate`"
    assert document["detail"].endswith(fix)


def test_the_choices_of_a_field_are_listed(client: TestClient) -> None:
    response = client.post("/adapt", json=GOOD | {"assess": "twice"})
    assert problem(response, 422)["detail"] == 'assess: expected one of leave_one_out, k_fold, got "twice"'


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/adaptations?limit=0", 'query.limit: expected a whole number of at least 1, got "0"'),
        ("/adaptations?limit=many", 'query.limit: expected a whole number, got "many"'),
        ("/adaptations?cursor=x", 'query.cursor: expected `next` of the previous page, 32 hexadecimal digits, got "x"'),
    ],
)
def test_a_wrong_parameter_is_named(client: TestClient, path: str, detail: str) -> None:
    assert problem(client.get(path), 422)["detail"] == detail


def test_unknown_paths_and_methods_get_a_problem(client: TestClient) -> None:
    detail = "GET /nowhere: expected a path that exists, got an unknown one: /docs lists all endpoints"
    assert problem(client.get("/nowhere"), 404)["detail"] == detail
    response = client.put("/adapt", json=GOOD)
    assert problem(response, 405)["title"] == "Method Not Allowed"
    assert response.json()["detail"] == "PUT /adapt: expected POST, got PUT: /docs lists all endpoints"
    assert response.headers["allow"] == "POST"


def test_every_request_error_has_a_status() -> None:
    assert set(RequestError.__subclasses__()) <= STATUS.keys()


def test_a_failure_of_the_server_gets_a_problem(
    serve: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.service.engine.Engine._predict", lambda *_: 1 / 0)
    client = serve(raise_server_exceptions=False)
    document = problem(client.post("/predict", json={"model": "sinusoid", "queries": [[1]]}), 500)
    expected = "The server met an unexpected error: its log has the cause"
    assert document["detail"] == expected


def test_after_a_failure_the_server_says_that_it_disconnects(
    serve_live: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the next request on this connection would fail without an answer."""
    monkeypatch.setattr("app.service.engine.Engine._predict", lambda *_: 1 / 0)
    monkeypatch.setattr("app.service.adaptations.Adaptations.page", lambda *_: 1 / 0)
    with httpx.Client(base_url=serve_live()) as client:
        for answer in (
            client.post("/predict", json={"model": "sinusoid", "queries": [[1]]}),
            client.get("/adaptations"),
            client.post("/predict", json={"model": "sinusoid", "queries": [[1]]}),
        ):
            assert answer.headers["connection"] == "close"
            assert problem(answer, 500)["title"] == "Internal Server Error"


def test_overload_gets_503_with_retry_after(serve: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch) -> None:
    from app.errors import Overloaded

    async def full(*_: object) -> None:
        raise Overloaded("The queue is full (at most 7 waiting requests): try again in a second")

    monkeypatch.setattr("app.service.work_queue.WorkQueue.submit", full)
    response = serve().post("/adapt", json=GOOD)
    assert problem(response, 503)["title"] == "Overloaded"
    assert response.headers["retry-after"] == "1"


def test_an_error_without_a_status_is_logged_before_its_problem_refers_to_the_log(
    serve: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object) -> None:
        raise DataError("no such folder")

    monkeypatch.setattr("app.service.adaptations.Adaptations.adapt", fail)
    answer = problem(serve(raise_server_exceptions=False).post("/adapt", json=GOOD), 500)
    assert "log" in answer["detail"]
    assert "no such folder" in caplog.text
