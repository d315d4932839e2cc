"""GET /adaptations in pages, and by model and label; and what every route says of an id that is gone."""

from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service_tests.api.ask import adapt, examples
from service_tests.conftest import Clock

DAY = 86_400


def pages(client: TestClient, limit: int, **filters: str) -> list[list[str]]:
    """The ids page by page."""
    found: list[list[str]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = client.get("/adaptations", params={"limit": str(limit)} | filters | cursor).json()
        found.append([each["adaptation_id"] for each in answer["adaptations"]])
        if "next" not in answer:
            return found
        cursor = {"cursor": answer["next"]}


@pytest.fixture(params=["memory", "sqlite"])
def client(serve: Callable[..., TestClient], tmp_path: Path, request: pytest.FixtureRequest) -> TestClient:
    return serve(store=request.param, state_dir=tmp_path)


def test_pages_are_the_whole_once_the_newest_first(client: TestClient) -> None:
    made = [adapt(client, steps=0)["adaptation_id"] for _ in range(25)]
    found = pages(client, 10)
    assert [len(page) for page in found] == [10, 10, 5]
    assert list(chain(*found)) == made[::-1]
    assert [len(page) for page in pages(client, 5)] == [5] * 5, "the last page knows that it is"
    assert len(pages(client, 1000)) == 1


def test_a_page_goes_on_where_the_one_before_ended_whatever_came_and_went(client: TestClient) -> None:
    made = [adapt(client, steps=0)["adaptation_id"] for _ in range(5)]
    first = client.get("/adaptations?limit=2").json()
    adapt(client, steps=0)
    client.delete(f"/adaptations/{first['next']}")
    second = client.get("/adaptations", params={"limit": 2, "cursor": first["next"]}).json()
    assert [each["adaptation_id"] for each in second["adaptations"]] == [made[2], made[1]]


def test_only_those_of_a_model_and_a_label(client: TestClient) -> None:
    made = {
        (model, label): adapt(client, examples(2), model=model, steps=1, **({"label": label} if label else {}))
        for model in ("sinusoid", "linear")
        for label in ("pump 17", "pump", "")
    }
    ids = {key: value["adaptation_id"] for key, value in made.items()}
    assert pages(client, 10, model="linear", label="pump") == [[ids["linear", "pump"]]]
    assert pages(client, 10, label="pump 17") == [[ids["linear", "pump 17"], ids["sinusoid", "pump 17"]]]
    assert pages(client, 2, model="sinusoid") == [
        [ids["sinusoid", ""], ids["sinusoid", "pump"]],
        [ids["sinusoid", "pump 17"]],
    ]
    assert pages(client, 10, model="nothing") == [[]]
    assert pages(client, 10, label="pum") == [[]]


def test_the_expired_are_in_no_page(client: TestClient, clock: Clock) -> None:
    made = [adapt(client, steps=0, ttl_s=10 + 100 * (index % 2))["adaptation_id"] for index in range(6)]
    clock.now += 50
    assert list(chain(*pages(client, 2))) == [made[5], made[3], made[1]]


@pytest.mark.parametrize(
    "query", ["cursor=x", "cursor=", f"cursor={'0' * 33}", f"cursor={'G' * 32}", "limit=0", "limit=1001", "limit=x"]
)
def test_a_bad_parameter_is_a_problem_document(client: TestClient, query: str) -> None:
    response = client.get(f"/adaptations?{query}")
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["place"] == f"query.{query.partition('=')[0]}"


def test_a_cursor_that_is_nobodys_is_a_place_like_any_other(client: TestClient) -> None:
    adapt(client, steps=0)
    assert client.get(f"/adaptations?cursor={'0' * 32}").json() == {"adaptations": []}


def every_route(client: TestClient, it: str) -> list[Any]:
    path = f"/adaptations/{it}"
    return [
        client.get(path),
        client.get(f"{path}/history"),
        client.get(f"{path}/support"),
        client.get(f"{path}/weights"),
        client.post(f"{path}/support", json=examples(1)),
        client.post(f"{path}/undo"),
        client.delete(f"{path}/support/0"),
        client.post("/predict", json={"adaptation_id": it, "queries": [[1]]}),
        client.delete(path),
    ]


def test_an_expired_id_is_answered_so_for_a_day_by_every_route(client: TestClient, clock: Clock) -> None:
    it = adapt(client, ttl_s=60)["adaptation_id"]
    for passed, status, sort in (
        (60, 410, "expired-adaptation"),
        (DAY - 1, 410, "expired-adaptation"),
        (1, 404, "unknown-adaptation"),
    ):
        clock.now += passed
        for response in every_route(client, it):
            assert response.status_code == status
            assert response.json()["type"] == f"urn:problem-type:innerloop:{sort}"


def test_a_deleted_id_is_unknown_to_every_route(client: TestClient) -> None:
    it = adapt(client)["adaptation_id"]
    assert client.delete(f"/adaptations/{it}").status_code == 204
    assert [response.status_code for response in every_route(client, it)] == [404] * 9
