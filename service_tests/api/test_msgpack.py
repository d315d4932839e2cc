"""application/msgpack with raw arrays, raw arrays in JSON, and every mix of the two forms."""

import base64
from typing import Any

import msgspec
import numpy as np
import pytest
from fastapi.testclient import TestClient

from service_tests.api.requests import QUERIES, WAVE, assert_same, body

JSON, MSGPACK = "application/json", "application/msgpack"


def raw(rows: Any, dtype: str = "float32", **changes: Any) -> dict[str, Any]:
    """A raw array of numbers, [row] or [row][number]."""
    array = np.array(rows, f"<{np.dtype(dtype).str[1:]}").reshape(len(rows), -1)
    return {"shape": list(array.shape), "data": array.tobytes(), "dtype": dtype} | changes


def in_base64(array: dict[str, Any]) -> dict[str, Any]:
    return array | {"data": base64.b64encode(array["data"]).decode()}


def post_as(client: TestClient, path: str, payload: Any, media: str, accept: str | None = None) -> Any:
    encode = {JSON: msgspec.json.encode, MSGPACK: msgspec.msgpack.encode}[media]
    return client.post(
        path, content=encode(payload), headers={"content-type": media} | ({"accept": accept} if accept else {})
    )


def numbers(value: Any) -> np.ndarray:
    """An array from an answer in either form."""
    if isinstance(value, dict):
        return np.frombuffer(value["data"], np.dtype(value["dtype"]).newbyteorder("<")).reshape(value["shape"])
    return np.array(value)


def decoded(response: Any, media: str = MSGPACK) -> dict[str, Any]:
    assert response.is_success, response.text
    assert response.headers["content-type"] == media
    decode: Any = {JSON: msgspec.json.decode, MSGPACK: msgspec.msgpack.decode}[media]
    content: dict[str, Any] = decode(response.content)
    return content


FORMS: dict[str, dict[str, Any]] = {
    "nested": WAVE,
    "float32": {key: raw(WAVE[key]) for key in WAVE},
    "float64": {key: raw(WAVE[key], "float64") for key in WAVE},
    "mixed": {"inputs": raw(WAVE["inputs"]), "targets": WAVE["targets"]},
    "without dtype": {key: {k: v for k, v in raw(WAVE[key]).items() if k != "dtype"} for key in WAVE},
}


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (f"{JSON};q=0.5, {MSGPACK}", MSGPACK),
        (f"{JSON}; Q = 0.5 , {MSGPACK};q=0.6", MSGPACK),
        (f"{MSGPACK};q=0, {JSON};q=0.1", JSON),
        (f"{MSGPACK};q=0", JSON),
        (f"text/event-stream;q=0.5, {JSON}", JSON),
        (f"text/event-stream;q=0, {MSGPACK}", MSGPACK),
        (f"text/event-stream, {JSON}", "text/event-stream; charset=utf-8"),
        ("text/event-stream;q=0.1", "text/event-stream; charset=utf-8"),
        (f"{MSGPACK};q=.5, */*;q=.9", JSON),
        (f"{MSGPACK};q=.5, application/*", JSON),
        (f"{MSGPACK};q=.5, application/*;q=.1, */*", MSGPACK),
        (f"{MSGPACK}, */*", MSGPACK),
        (f"{MSGPACK};q=.5, text/*", MSGPACK),
        ("*/*, text/event-stream;q=0.1", JSON),
        (f"{JSON};q=0, */*", MSGPACK),
        (f'text/html;a="x,y";q=0.1, {MSGPACK};q=0., {JSON};q=0.5', JSON),
        (f"{MSGPACK}, {JSON}", MSGPACK),
    ],
)
def test_how_much_a_media_type_is_wanted(client: TestClient, accept: str, expected: str) -> None:
    answer = client.post("/adapt", json=body(), headers={"accept": accept})
    assert answer.headers["content-type"] == expected


@pytest.mark.parametrize("accept", [None, "*/*", JSON, MSGPACK, f"{MSGPACK}, {JSON};q=0.5", f"text/html, {JSON}"])
@pytest.mark.parametrize("media", [JSON, MSGPACK])
def test_the_answer_has_the_accepted_media_type(client: TestClient, media: str, accept: str | None) -> None:
    expected = media if accept in (None, "*/*") else str(accept).partition(";")[0].removeprefix("text/html, ")
    expected = expected.partition(",")[0]
    adaptation = decoded(post_as(client, "/adapt", body(), media, accept), expected)
    payload = {"adaptation_id": adaptation["adaptation_id"], "queries": QUERIES}
    answer = decoded(post_as(client, "/predict", payload, media, accept), expected)
    assert isinstance(answer["predictions"], dict if expected == MSGPACK else list)
    assert numbers(answer["predictions"]).shape == (4, 1)
    assert numbers(adaptation["losses"]).shape == (6,)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("media", [JSON, MSGPACK])
def test_all_forms_give_the_same_answer(client: TestClient, form: str, media: str) -> None:
    plain = client.post("/predict", json=body(queries=QUERIES)).json()
    support = FORMS[form]
    if media == JSON:
        support = {key: in_base64(value) if isinstance(value, dict) else value for key, value in support.items()}
    queries = raw(QUERIES) if media == MSGPACK else in_base64(raw(QUERIES, "float64"))
    for posted_queries in (QUERIES, queries):
        answer = decoded(post_as(client, "/predict", body(support, queries=posted_queries), media), media)
        assert_same(numbers(answer["predictions"]), np.array(plain["predictions"]))
        assert numbers(answer["losses"]) == pytest.approx(plain["losses"], rel=1e-5)
    adaptation = decoded(post_as(client, "/adapt", body(support), media), media)
    assert client.get(f"/adaptations/{adaptation['adaptation_id']}/support").json()["inputs"] == WAVE["inputs"]


@pytest.mark.parametrize("media", [JSON, MSGPACK])
@pytest.mark.parametrize(
    ("inputs", "detail", "place"),
    [
        (raw(WAVE["inputs"], data=b"\0" * 19), "expected 20 bytes for [5, 1] of float32, got 19", "inputs.data"),
        (raw(WAVE["inputs"], data=b""), "expected 20 bytes", "inputs.data"),
        (raw(WAVE["inputs"], dtype="float64") | {"dtype": "float32"}, "expected 20 bytes", "inputs.data"),
        (raw([[1, 2]] * 5), "expected 1 number, got 2", "inputs[0]"),
        (raw(WAVE["inputs"], shape=[-5, 1]), "expected a whole number of at least 0, got -5", "inputs.shape[0]"),
        (raw(WAVE["inputs"], shape=[-5, -1]), "expected a whole number of at least 0", "inputs.shape[0]"),
        (raw(WAVE["inputs"], shape=[]), "expected at least 1 element", "inputs.shape"),
        (raw(WAVE["inputs"], shape=[5, 1, 1]), "expected 1 number, got 1 x 1 numbers", "inputs[0]"),
        (raw(WAVE["inputs"], shape=[5, 1, 1, 1, 1]), "expected at most 4 elements, got", "inputs.shape"),
        (raw(WAVE["inputs"], shape=[5.0, 1]), "expected a whole number, got 5.0", "inputs.shape[0]"),
        (
            raw(WAVE["inputs"], shape=[2**62, 4]),
            "expected as many inputs as targets, got 4611686018427387904 and 5",
            "",
        ),
        (
            raw(WAVE["inputs"]) | {"dtype": "complex64"},
            'int16, int32, int64, uint8, uint16, uint32, uint64, bool, got "complex64"',
            "inputs.dtype",
        ),
        (raw(WAVE["inputs"]) | {"order": "F"}, "an unknown field", "inputs.order"),
        ({"shape": [5, 1]}, "expected a value, got none: add the field", "inputs.data"),
        (raw(WAVE["inputs"], data=5), "expected bytes, got a whole number", "inputs.data"),
        (raw([[1], [2], [np.nan], [4], [5]]), "expected a number, got a missing value", "inputs[2][0]"),
        (raw([[1], [2], [3], [4], [-np.inf]]), "expected a finite float32 number, got -inf", "inputs[4][0]"),
        (
            raw([[1], [1e39], [3], [4], [5]], "float64"),
            "expected a finite float32 number, got 1e+39",
            "inputs[1][0]",
        ),
        ([[1], [2], [3], [4], [None]], "expected a number, got a missing value", "inputs[4][0]"),
    ],
)
def test_a_wrong_array_gets_a_problem_with_its_place(
    client: TestClient, media: str, inputs: Any, detail: str, place: str
) -> None:
    if media == JSON and isinstance(inputs, dict) and isinstance(inputs.get("data"), bytes):
        inputs = in_base64(inputs)
    response = post_as(client, "/adapt", body({"inputs": inputs, "targets": WAVE["targets"]}), media)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert detail in response.json()["detail"]
    assert response.json()["place"] == f"support.{place}".rstrip(".")
    assert client.get("/adaptations").json() == {"adaptations": []}


def test_an_empty_array_is_refused(client: TestClient) -> None:
    empty = {"shape": [0, 1], "data": b""}
    response = post_as(client, "/adapt", body({"inputs": empty, "targets": empty}), MSGPACK)
    assert (response.status_code, response.json()["place"]) == (422, "support.inputs")
    response = post_as(client, "/predict", {"model": "sinusoid", "queries": empty}, MSGPACK)
    assert (response.status_code, response.json()["place"]) == (422, "queries")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_an_invalid_rate_is_refused(client: TestClient, value: float) -> None:
    response = post_as(client, "/adapt", body(learning_rate=value), MSGPACK)
    assert (response.status_code, response.json()["place"]) == (422, "learning_rate")


def test_nested_lists_with_numbers_that_are_not_finite_are_refused(client: TestClient) -> None:
    for number in (float("nan"), float("inf"), 1e300):
        response = post_as(client, "/predict", {"model": "sinusoid", "queries": [[1.0], [number]]}, MSGPACK)
        assert (response.status_code, response.json()["place"]) == (422, "queries[1][0]")


def test_invalid_base64_is_refused(client: TestClient) -> None:
    response = client.post("/predict", json={"model": "sinusoid", "queries": {"shape": [1, 1], "data": "!!!"}})
    assert response.status_code == 422
    assert response.json()["place"] == "queries.data"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xc1",
        b"\x81",
        b"\x81\xa5model",
        b"{}",
        b"\x91" * 20_000,
        b"\x81\x01\x02",
        b"\xd4\x01\x00",
        b"\xdf\xff\xff\xff\xff",
    ],
)
def test_invalid_msgpack_is_refused(client: TestClient, content: bytes) -> None:
    response = client.post("/adapt", content=content, headers={"content-type": MSGPACK})
    assert response.status_code in (400, 422)
    assert response.headers["content-type"] == "application/problem+json"


def test_large_arrays_are_accepted(client: TestClient) -> None:
    """10,000 examples and as many queries."""
    x = np.linspace(-5, 5, 10_000, dtype=np.float32)
    payload = body({"inputs": raw(x), "targets": raw(np.sin(x))}, queries=raw(x))
    answer = decoded(post_as(client, "/predict", payload, MSGPACK))
    assert numbers(answer["predictions"]).shape == (10_000, 1)
