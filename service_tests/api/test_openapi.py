"""The OpenAPI document is complete, correct, and browsable without a network."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from fastapi.testclient import TestClient
from jsonschema_rs import Draft202012Validator

from app.api.openapi import holds_bodies
from app.main import create_app
from app.settings import Settings
from service_tests.api.requests import adapt, body, examples
from service_tests.processes import ROOT
from service_tests.processes import command as program

ROUTES = {
    "/adapt": ["post"],
    "/predict": ["post"],
    "/adaptations": ["get"],
    "/adaptations/{id}": ["delete", "get", "patch"],
    "/adaptations/{id}/history": ["get"],
    "/adaptations/{id}/support": ["get", "post"],
    "/adaptations/{id}/support/{example}": ["delete"],
    "/adaptations/{id}/undo": ["post"],
    "/adaptations/{id}/weights": ["get"],
    "/models": ["get"],
    "/models/{name}": ["get"],
    "/health/live": ["get"],
    "/health/ready": ["get"],
}


SCHEMATHESIS = """
hooks = "service_tests.api.schemathesis_hooks"

[checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 504]  # it sends deadlines of a millisecond

[[operations]]
include-path-regex = "/adaptations/[^/]+/"
parameters = {{ "path.id" = "{id}" }}
"""


@pytest.fixture
def document(client: TestClient) -> dict[str, Any]:
    contents: dict[str, Any] = client.get("/openapi.json").json()
    return contents


def test_every_route_is_documented(document: dict[str, Any]) -> None:
    assert {path: sorted(methods) for path, methods in document["paths"].items()} == ROUTES
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation["description"], path
    readme = (ROOT / "README.md").read_text()
    assert [path for path in ROUTES if path not in readme] == []


def test_request_bodies_have_a_schema(document: dict[str, Any]) -> None:
    body = document["paths"]["/adapt"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/AdaptRequest"}
    assert document["components"]["schemas"]["AdaptRequest"]["required"] == ["model", "support"]
    assert "null" not in str(document["components"]["schemas"]["AdaptRequest"])
    for name in re.findall(r"#/components/schemas/(\w+)", str(document)):
        assert name in document["components"]["schemas"]


def test_the_examples_work(client: TestClient, document: dict[str, Any]) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    for path in ("/adapt", "/predict", "/adaptations/{id}/support"):
        body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
        assert client.post(path.format(id=adaptation_id), json=body).is_success


def test_the_statuses_of_success_are_documented(document: dict[str, Any]) -> None:
    others = {("/adapt", "post"): ["200", "201"], ("/adaptations/{id}", "delete"): ["204"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            statuses = sorted(status for status in operation["responses"] if status < "300")
            assert statuses == others.get((path, method), ["200"]), path


def test_the_statuses_of_errors_are_documented(document: dict[str, Any]) -> None:
    assert "HTTPValidationError" not in str(document)
    paths = document["paths"]
    assert paths["/adaptations/{id}"]["delete"]["responses"].keys() == {"204", "404", "410", "503"}
    assert paths["/adaptations/{id}/undo"]["post"]["responses"].keys() == {
        "200", "404", "409", "410", "422", "503", "504", "507"
    }  # fmt: skip
    assert paths["/adapt"]["post"]["responses"].keys() == {
        "200", "201", "400", "404", "413", "415", "422", "503", "504", "507"
    }  # fmt: skip


def test_the_docs_work_offline(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(links) >= 3
    for link in links:
        assert link.startswith("/"), "the page loads nothing from another host"
        assert client.get(link).status_code == 200


def test_valid_and_invalid_requests_are_answered_as_documented(live_server: str, tmp_path: Path) -> None:
    """schemathesis generates valid and invalid requests from the document, and checks the answers against it."""
    adaptation_id = httpx.post(f"{live_server}/adapt", json=body(examples(200))).json()["adaptation_id"]
    (tmp_path / "schemathesis.toml").write_text(SCHEMATHESIS.format(id=adaptation_id))
    command = [program("schemathesis"), "run", f"{live_server}/openapi.json", "--seed", "1"]
    command += ["--max-examples", "30", "--request-timeout", "20", "--exclude-checks", "positive_data_acceptance"]
    paths = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False, env=paths)
    assert process.returncode == 0, process.stdout[-6000:] + process.stderr[-2000:]


def test_two_applications_have_the_same_document() -> None:
    one, two = (
        create_app(Settings(models_dir=ROOT / "models", compile=False, store="memory")).openapi() for _ in range(2)
    )
    assert one == two


def test_every_field_has_an_example_that_fits(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    fields = [
        (f"{name}.{field}", value)
        for name, schema in schemas.items()
        for field, value in schema["properties"].items()
        if not holds_bodies(value)
    ]
    assert len(fields) > 100
    for place, value in fields:
        assert len(value["examples"]) == 1, place
        schema = {"components": document["components"], **value}
        errors = [error.message for error in Draft202012Validator(schema).iter_errors(value["examples"][0])]
        assert errors == [], place


def test_every_body_has_an_example(client: TestClient, document: dict[str, Any]) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    for path in ("/adapt", "/predict", "/adaptations/{id}/support"):
        for media, content in document["paths"][path]["post"]["requestBody"]["content"].items():
            example = content["example"]
            encode = {"application/json": msgspec.json.encode, "application/msgpack": msgspec.msgpack.encode}
            sent = encode.get(media, str.encode)(example)
            parameters = {"model": "sinusoid"} if media == "text/csv" and "{id}" not in path else {}
            url, headers = path.format(id=adaptation_id), {"content-type": media}
            response = client.post(url, content=sent, headers=headers, params=parameters)
            assert response.is_success, (path, media)
            if media == "application/x-ndjson":
                answers = [json.loads(line) for line in response.text.splitlines()]
                assert [answer["model"] for answer in answers] == ["sinusoid"] * 2


def test_every_field_and_parameter_is_described(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        for field, value in schema.get("properties", {}).items():
            assert value.get("description") or "$ref" in value, f"{name}.{field}"
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation["tags"], path
            assert operation["summary"], path
            for parameter in operation.get("parameters", []):
                assert parameter["description"], f"{path}: {parameter['name']}"


def test_every_array_says_what_it_holds(document: dict[str, Any]) -> None:
    """Generators of clients drop a schema whose array has no items."""

    def arrays(value: Any) -> Iterator[dict[str, Any]]:
        if isinstance(value, dict):
            if value.get("type") == "array":
                yield value
            for each in value.values():
                yield from arrays(each)
        elif isinstance(value, list):
            for each in value:
                yield from arrays(each)

    assert [
        array for array in arrays(document["components"]) if "items" not in array and "prefixItems" not in array
    ] == []
