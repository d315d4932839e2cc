"""Rows of a table: objects and lists of values give the same answers in every way of posting them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fastapi.testclient import TestClient

from service_tests.api.requests import assert_same
from service_tests.bundles import write_tables
from service_tests.encoders.cases import PATIENTS

COLUMNS = ["age", "sex", "smoker", "seen", "dose", "ward"]
OBJECTS: list[dict[str, Any]] = [
    {name: value for name, value in row.items() if value == value}  # JSON has no NaN
    for row in PATIENTS
]
SHUFFLED = [dict(sorted(row.items())) for row in OBJECTS]
LISTS = [[row.get(name) for name in COLUMNS] for row in OBJECTS]
TARGETS = [1.0, 0.5, 2.0, -1.0, 0.0]
MSGPACK = "application/msgpack"


@pytest.fixture
def client(tmp_path: Path, serve: Callable[..., TestClient]) -> TestClient:
    write_tables(tmp_path / "models")
    return serve(models_dir=tmp_path / "models")


def support(rows: list[Any] = OBJECTS, targets: list[Any] = TARGETS) -> dict[str, Any]:
    return {"inputs": rows, "targets": targets}


def predict(client: TestClient, rows: list[Any], queries: list[Any] | None = None) -> Any:
    body = {"model": "wards", "support": support(rows), "queries": queries or rows}
    return client.post("/predict", json=body).raise_for_status().json()["predictions"]


@pytest.mark.parametrize("rows", [LISTS, SHUFFLED, [*OBJECTS[:2], *LISTS[2:]]], ids=["lists", "shuffled", "mixed"])
def test_objects_and_lists_are_the_same_rows(client: TestClient, rows: list[Any]) -> None:
    assert predict(client, rows) == predict(client, OBJECTS)
    one, two = (predict(client, rows, [row]) for row in OBJECTS[:2])
    assert one != two


def test_labels(client: TestClient) -> None:
    labels = ["low", "high", "low", "high", "low"]
    body = {"model": "risks", "support": support(targets=labels), "queries": OBJECTS}
    answer = client.post("/predict", json=body).raise_for_status().json()
    assert set(answer["predictions"]) <= {"low", "high"}


def test_an_adaptation_grows_by_objects(client: TestClient) -> None:
    adaptation = client.post("/adapt", json={"model": "wards", "support": support(OBJECTS[:3], TARGETS[:3])}).json()
    more = client.post(f"/adaptations/{adaptation['adaptation_id']}/support", json=support(LISTS[3:], TARGETS[3:]))
    assert more.raise_for_status().json()["support_size"] == len(OBJECTS)
    body = {"adaptation_id": adaptation["adaptation_id"], "queries": OBJECTS}
    answer = client.post("/predict", json=body).raise_for_status().json()["predictions"]
    assert_same(answer, predict(client, OBJECTS))


def test_msgpack(client: TestClient) -> None:
    body = {"model": "wards", "support": support(PATIENTS), "queries": PATIENTS}
    headers = {"Content-Type": MSGPACK, "Accept": "application/json"}
    answer = client.post("/predict", content=msgspec.msgpack.encode(body), headers=headers).raise_for_status().json()
    assert answer["predictions"] == predict(client, OBJECTS)


def test_lines(client: TestClient) -> None:
    body = json.dumps({"model": "wards", "support": support(), "queries": OBJECTS})
    headers = {"Content-Type": "application/x-ndjson"}
    lines = client.post("/predict", content=f"{body}\n{body}", headers=headers).raise_for_status().text.splitlines()
    for line in lines:
        assert_same(json.loads(line)["predictions"], predict(client, OBJECTS))


@pytest.mark.parametrize("rows", [OBJECTS, LISTS], ids=["objects", "lists"])
def test_a_large_body_is_read_as_a_small_one(client: TestClient, rows: list[Any]) -> None:
    body = json.dumps({"model": "wards", "support": support(rows), "queries": rows}) + " " * 2**20
    answer = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
    assert answer.raise_for_status().json()["predictions"] == predict(client, OBJECTS)


@pytest.mark.parametrize(
    ("change", "place", "detail"),
    [
        ({"age": "61"}, ".age", 'expected a number, got "61": send it without quotes'),
        ({"age": None}, ".age", "expected a number, got a missing value"),
        ({"smoker": 1}, ".smoker", "expected true or false, got 1"),
        ({"seen": "yesterday"}, ".seen", "expected a date"),
        ({"agee": 3}, ".agee", "expected one of the columns age, "),
        (
            {"Age": 3},
            ".Age",
            f"expected one of the columns {', '.join(COLUMNS)}, got another column: did you mean age?",
        ),
        ({"a" * 10**5: 3}, f'["{"a" * 57}..."]', "expected one of the columns age, "),
    ],
)
def test_a_wrong_value_is_named(client: TestClient, change: dict[str, Any], place: str, detail: str) -> None:
    rows = [*OBJECTS[:4], OBJECTS[4] | change]
    cases = {
        "support.inputs[4]": ("/adapt", {"model": "wards", "support": support(rows)}),
        "queries[4]": ("/predict", {"model": "wards", "queries": rows}),
    }
    for where, (path, body) in cases.items():
        answer = client.post(path, json=body)
        assert answer.status_code == 422
        assert answer.json()["place"] == where + place
        assert answer.json()["detail"].startswith(f"{where}{place}: {detail}")
    adaptation = client.post("/adapt", json={"model": "wards", "support": support()}).json()["adaptation_id"]
    answer = client.post(f"/adaptations/{adaptation}/support", json=support(rows))
    assert answer.json()["place"] == f"inputs[4]{place}"


@pytest.mark.parametrize(("key", "shown"), [(1, "1"), (None, "null"), (b"age", "bytes"), ((1,), "an array")])
def test_keys_in_msgpack_are_strings(client: TestClient, key: Any, shown: str) -> None:
    content = msgspec.msgpack.encode({"model": "wards", "queries": [OBJECTS[0] | {key: 3}]})
    answer = client.post("/predict", content=content, headers={"Content-Type": MSGPACK})
    assert answer.status_code == 422
    assert answer.json()["detail"] == (
        f"queries[0]: expected names of columns that are strings, got {shown}: send the names as strings"
    )


def test_a_model_says_what_its_inputs_are(client: TestClient) -> None:
    inputs = client.get("/models/wards").json()["inputs"]
    assert inputs["encoder"] == "table"
    assert [column["name"] for column in inputs["columns"]] == COLUMNS
    assert len(predict(client, OBJECTS, [inputs["example"]])) == 1
