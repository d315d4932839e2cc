"""The OpenAPI document is complete, correct, and browsable without a network."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from fastapi.testclient import TestClient
from jsonschema_rs import Draft202012Validator

from app.api.openapi_schemas import holds_bodies
from app.main import create_app
from app.settings import Settings
from service_tests.api.requests import adapt, body, examples
from service_tests.processes import ROOT
from service_tests.processes import command as program

ROUTES = {
    "/adapt": ["post"],
    "/predict": ["post"],
    "/propose": ["post"],
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
    for path in ("/adapt", "/predict", "/propose", "/adaptations/{id}/support"):
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
        "200", "201", "400", "404", "409", "413", "415", "422", "503", "504", "507"
    }  # fmt: skip


def test_a_new_adaptation_links_to_what_takes_its_id(document: dict[str, Any]) -> None:
    links = document["paths"]["/adapt"]["post"]["responses"]["201"]["links"]
    assert links.keys() == {
        "getAdaptation", "editAdaptation", "deleteAdaptation", "getHistory", "getSupport", "addExamples",
        "deleteExample", "undo", "getWeights"
    }  # fmt: skip
    assert links["getHistory"] == {
        "operationId": "getHistory", "parameters": {"id": "$response.body#/adaptation_id"}
    }  # fmt: skip


def test_an_edit_changes_something(document: dict[str, Any]) -> None:
    assert document["components"]["schemas"]["EditRequest"]["minProperties"] == 1


def test_the_docs_work_offline(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert "://" not in page.text, "the page names no other host"
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(links) >= 3
    for link in links:
        assert link.startswith("/")
        assert client.get(link).status_code == 200


class TestBySchemathesis:
    """schemathesis generates valid and invalid requests from the document, and checks the answers against it.

    Its coverage phase sends each kind of wrong value, and its fuzzing phase random ones. Both take long, so each runs
    on one server only. Its stateful phase, where a request takes its id from another, runs on both.
    """

    def test_requests_are_answered_as_documented(self, live_server: str, tmp_path: Path) -> None:
        run_schemathesis(live_server, tmp_path, "examples,coverage,stateful")

    def test_requests_below_a_prefix_are_answered_as_documented(
        self, serve_live: Callable[..., str], tmp_path: Path
    ) -> None:
        run_schemathesis(serve_live(root_path="/ml") + "/ml", tmp_path, "fuzzing,stateful")


def run_schemathesis(url: str, folder: Path, phases: str) -> None:
    """Run schemathesis with all its checks against a server. url: with the prefix, if any"""
    adaptation_id = httpx.post(f"{url}/adapt", json=body(examples(200))).json()["adaptation_id"]
    settings = (ROOT / "service_tests/api/schemathesis.toml").read_text().replace("ADAPTATION_ID", adaptation_id)
    (folder / "schemathesis.toml").write_text(settings)
    command = [program("schemathesis"), "run", f"{url}/openapi.json", "--seed", "1", "--phases", phases]
    command += ["--checks", "all", "--request-timeout", "20"]
    paths = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=400, check=False, env=paths)
    assert process.returncode == 0, process.stdout[-6000:] + process.stderr[-2000:]
    links = re.search(r"API Links: +(\d+) covered", process.stdout)
    assert links is not None, "the stateful phase has not run"
    assert int(links[1]) > 0, "the stateful phase has followed no link"


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
        for field, value in schema.get("properties", {}).items()
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
    for path in ("/adapt", "/predict", "/propose", "/adaptations/{id}/support"):
        operation = document["paths"][path]["post"]
        # /docs fills in those that have an example, whatever the type of the body
        filled_in = {each["name"]: each["example"] for each in operation["parameters"] if "example" in each}
        for media, content in operation["requestBody"]["content"].items():
            example = content["example"]
            encode = {"application/json": msgspec.json.encode, "application/msgpack": msgspec.msgpack.encode}
            sent = encode.get(media, str.encode)(example)
            url, headers = path.format(id=adaptation_id), {"content-type": media}
            response = client.post(url, content=sent, headers=headers, params=filled_in)
            assert response.is_success, (path, media)
            if media == "application/x-ndjson":
                answers = [json.loads(line) for line in response.text.splitlines()]
                model = "sinusoid-bayes" if path == "/propose" else "sinusoid"
                assert [answer["model"] for answer in answers] == [model] * 2


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


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a document, but for examples."""
    if isinstance(value, dict):
        yield value
        for key, each in value.items():
            if key not in ("example", "examples"):
                yield from parts(each)
    elif isinstance(value, list):
        for each in value:
            yield from parts(each)


class TestForGenerators:
    """What generators of clients need; test_generated_clients.py and client/test_typescript.py run one each."""

    def test_every_operation_has_a_short_name(self, document: dict[str, Any]) -> None:
        names = {
            (path, method): operation["operationId"]
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        }
        assert len(set(names.values())) == len(names)
        assert [name for name in names.values() if not re.fullmatch("[a-z]+([A-Z][a-z]+)*", name)] == []
        expected = {
            ("/adapt", "post"): "adapt",
            ("/predict", "post"): "predict",
            ("/propose", "post"): "propose",
            ("/adaptations", "get"): "listAdaptations",
            ("/adaptations/{id}", "get"): "getAdaptation",
            ("/adaptations/{id}", "delete"): "deleteAdaptation",
            ("/adaptations/{id}/history", "get"): "getHistory",
            ("/adaptations/{id}/support", "get"): "getSupport",
            ("/adaptations/{id}/support", "post"): "addExamples",
            ("/adaptations/{id}/support/{example}", "delete"): "deleteExample",
            ("/adaptations/{id}/undo", "post"): "undo",
            ("/adaptations/{id}/weights", "get"): "getWeights",
            ("/models", "get"): "listModels",
            ("/models/{name}", "get"): "getModel",
            ("/health/live", "get"): "checkLive",
            ("/health/ready", "get"): "checkReady",
        }
        assert {operation: names[operation] for operation in expected} == expected

    def test_every_array_says_what_it_holds(self, document: dict[str, Any]) -> None:
        """Generators of clients drop a schema whose array has no items."""
        arrays = [part for part in parts(document) if part.get("type") == "array"]
        assert len(arrays) > 50
        assert [array for array in arrays if "items" not in array and "prefixItems" not in array] == []

    def test_every_object_says_which_fields_it_has(self, document: dict[str, Any]) -> None:
        """Otherwise openapi-typescript takes it for an object without fields."""
        objects = [part for part in parts(document) if part.get("type") == "object"]
        assert len(objects) > 20
        assert [each for each in objects if not each.keys() & {"properties", "additionalProperties"}] == []

    def test_every_choice_has_a_type(self, document: dict[str, Any]) -> None:
        choices = [part for part in parts(document) if "enum" in part]
        assert [choice["type"] for choice in choices] == ["string"] * len(choices)
        assert choices

    def test_fields_with_a_default_may_be_left_out(self, document: dict[str, Any]) -> None:
        """openapi-typescript requires a field that has a `default` in the document."""
        assert [part for part in parts(document["components"]) if "default" in part] == []
        for name, field in (("RawArray", "dtype"), ("AdaptRequest", "reuse"), ("PredictRequest", "sample")):
            assert "The default is `" in document["components"]["schemas"][name]["properties"][field]["description"]

    def test_no_parameter_is_null(self, document: dict[str, Any]) -> None:
        parameters = [
            parameter
            for methods in document["paths"].values()
            for operation in methods.values()
            for parameter in operation.get("parameters", [])
        ]
        assert len(parameters) > 20
        assert [each for each in parameters if each["schema"].get("type") not in ("string", "integer", "boolean")] == []

    def test_a_reference_is_alone(self, document: dict[str, Any]) -> None:
        """A `type` beside `$ref` makes some generators ignore the reference."""
        assert [part for part in parts(document["components"]) if "$ref" in part and "type" in part] == []


def test_labels_of_any_type_are_as_documented(
    serve: Callable[..., TestClient], classifiers: Path, document: dict[str, Any]
) -> None:
    client = serve(models_dir=classifiers)
    support = {"inputs": [[0, 0], [3, 3], [-3, 3]], "targets": [1, True, "1"]}
    adaptation_id = adapt(client, support, model="blobs")["adaptation_id"]
    queries = {"adaptation_id": adaptation_id, "queries": support["inputs"]}
    predicted = client.post("/predict", json=queries).json()
    assert predicted["predictions"] == support["targets"]
    shown = client.get(f"/adaptations/{adaptation_id}/support").json()
    for name, answer in (("PredictResponse", predicted), ("SupportView", shown)):
        schema = {"components": document["components"], "$ref": f"#/components/schemas/{name}"}
        assert [error.message for error in Draft202012Validator(schema).iter_errors(answer)] == []
