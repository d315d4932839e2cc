"""GET /adaptations in pages and by model and label; and the answers of every route for an id that is gone."""

import shutil
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service_tests.api.requests import adapt, examples, reload
from service_tests.conftest import Clock

DAY = 86_400


def ids_by_page(client: TestClient, limit: int, **filters: str) -> list[list[str]]:
    """The ids of the list, page by page."""
    ids: list[list[str]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = client.get("/adaptations", params={"limit": str(limit)} | filters | cursor).json()
        ids.append([each["adaptation_id"] for each in answer["adaptations"]])
        if "next" not in answer:
            return ids
        cursor = {"cursor": answer["next"]}


@pytest.fixture(params=["memory", "sqlite"])
def client(serve: Callable[..., TestClient], tmp_path: Path, request: pytest.FixtureRequest) -> TestClient:
    return serve(store=request.param, state_dir=tmp_path)


def test_pages_list_each_adaptation_once_from_the_newest(client: TestClient) -> None:
    ids = [adapt(client, steps=0)["adaptation_id"] for _ in range(25)]
    listed = ids_by_page(client, 10)
    assert [len(page) for page in listed] == [10, 10, 5]
    assert list(chain(*listed)) == ids[::-1]
    assert [len(page) for page in ids_by_page(client, 5)] == [5] * 5, "a full last page has no `next`"
    assert len(ids_by_page(client, 1000)) == 1


def test_a_page_continues_the_previous_one_whatever_was_added_or_deleted(client: TestClient) -> None:
    ids = [adapt(client, steps=0)["adaptation_id"] for _ in range(5)]
    first = client.get("/adaptations?limit=2").json()
    adapt(client, steps=0)
    client.delete(f"/adaptations/{first['next']}")
    second = client.get("/adaptations", params={"limit": 2, "cursor": first["next"]}).json()
    assert [each["adaptation_id"] for each in second["adaptations"]] == [ids[2], ids[1]]


def test_the_list_is_filtered_by_model_and_label(client: TestClient) -> None:
    adaptations = {
        (model, label): adapt(client, examples(2), model=model, steps=1, **({"label": label} if label else {}))
        for model in ("sinusoid", "linear")
        for label in ("pump 17", "pump", "")
    }
    ids = {key: value["adaptation_id"] for key, value in adaptations.items()}
    assert ids_by_page(client, 10, model="linear", label="pump") == [[ids["linear", "pump"]]]
    assert ids_by_page(client, 10, label="pump 17") == [[ids["linear", "pump 17"], ids["sinusoid", "pump 17"]]]
    assert ids_by_page(client, 2, model="sinusoid") == [
        [ids["sinusoid", ""], ids["sinusoid", "pump"]],
        [ids["sinusoid", "pump 17"]],
    ]
    assert ids_by_page(client, 10, model="linear", label="nothing") == [[]]
    assert ids_by_page(client, 10, label="pum") == [[]]


def test_a_filter_by_a_model_that_nothing_has_is_refused(client: TestClient) -> None:
    response = client.get("/adaptations", params={"model": "nothing"})
    assert (response.status_code, response.json()["place"]) == (404, "query.model")
    assert response.json()["detail"].startswith("query.model: expected one of ")


def test_a_model_that_is_gone_can_be_filtered_by(serve: Callable[..., TestClient], own_models: Path) -> None:
    client = serve(models_dir=own_models)
    adaptation = adapt(client)
    shutil.rmtree(own_models / "sinusoid")
    reload(client)
    assert ids_by_page(client, 10, model="sinusoid") == [[adaptation["adaptation_id"]]]
    assert ids_by_page(client, 10, model="sinusoid", label="nothing") == [[]]
    response = client.get(f"/adaptations/{adaptation['adaptation_id']}/weights")
    assert response.status_code == 200, "the server has the model until it stops"


def test_expired_adaptations_are_not_listed(client: TestClient, clock: Clock) -> None:
    ids = [adapt(client, steps=0, ttl_s=10 + 100 * (index % 2))["adaptation_id"] for index in range(6)]
    clock.now += 50
    assert list(chain(*ids_by_page(client, 2))) == [ids[5], ids[3], ids[1]]


@pytest.mark.parametrize(
    "query", ["cursor=x", "cursor=", f"cursor={'0' * 33}", f"cursor={'G' * 32}", "limit=0", "limit=1001", "limit=x"]
)
def test_an_invalid_parameter_gets_a_problem(client: TestClient, query: str) -> None:
    response = client.get(f"/adaptations?{query}")
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["place"] == f"query.{query.partition('=')[0]}"


def test_a_cursor_need_not_be_an_existing_id(client: TestClient) -> None:
    adapt(client, steps=0)
    assert client.get(f"/adaptations?cursor={'0' * 32}").json() == {"adaptations": []}


def every_route(client: TestClient, adaptation_id: str) -> list[Any]:
    path = f"/adaptations/{adaptation_id}"
    return [
        client.get(path),
        client.get(f"{path}/history"),
        client.get(f"{path}/support"),
        client.get(f"{path}/weights"),
        client.post(f"{path}/support", json=examples(1)),
        client.post(f"{path}/undo"),
        client.delete(f"{path}/support/0"),
        client.post("/predict", json={"adaptation_id": adaptation_id, "queries": [[1]]}),
        client.delete(path),
    ]


def test_every_route_answers_410_for_a_day_after_expiry(client: TestClient, clock: Clock) -> None:
    adaptation_id = adapt(client, ttl_s=60)["adaptation_id"]
    for seconds, status, problem_type in (
        (60, 410, "expired-adaptation"),
        (DAY - 1, 410, "expired-adaptation"),
        (1, 404, "unknown-adaptation"),
    ):
        clock.now += seconds
        for response in every_route(client, adaptation_id):
            assert response.status_code == status
            assert response.json()["type"] == f"urn:problem-type:innerloop:{problem_type}"


def test_every_route_answers_404_for_a_deleted_id(client: TestClient) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    assert client.delete(f"/adaptations/{adaptation_id}").status_code == 204
    assert [response.status_code for response in every_route(client, adaptation_id)] == [404] * 9
