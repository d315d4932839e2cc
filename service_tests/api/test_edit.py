"""PATCH /adaptations/{id}: the label and the expiry change, and nothing else."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from service_tests.api.requests import adapt, predictions
from service_tests.conftest import Clock, Work

HOUR, DAY = 3600, 86_400


@pytest.fixture(params=["memory", "sqlite"])
def client(serve: Callable[..., TestClient], tmp_path: Path, request: pytest.FixtureRequest) -> TestClient:
    return serve(store=request.param, state_dir=tmp_path)


def edit(client: TestClient, adaptation_id: str, **fields: object) -> dict[str, Any]:
    answer = client.patch(f"/adaptations/{adaptation_id}", json=fields)
    assert answer.status_code == 200, answer.text
    edited: dict[str, Any] = answer.json()
    return edited


def test_an_expiry_is_extended_from_now(client: TestClient, clock: Clock) -> None:
    adaptation = adapt(client, ttl_s=HOUR)
    clock.now += HOUR - 1
    edited = edit(client, adaptation["adaptation_id"], ttl_s=DAY)
    assert edited | {"expires_at": ""} == adaptation | {"expires_at": ""}
    assert edited["expires_at"] > adaptation["expires_at"]
    clock.now += DAY - 1
    assert client.get(f"/adaptations/{adaptation['adaptation_id']}").json() == edited
    clock.now += 1
    assert client.get(f"/adaptations/{adaptation['adaptation_id']}").status_code == 410


def test_an_expiry_is_shortened(client: TestClient, clock: Clock) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    edit(client, adaptation_id, ttl_s=1)
    clock.now += 1
    assert client.get(f"/adaptations/{adaptation_id}").status_code == 410
    assert client.patch(f"/adaptations/{adaptation_id}", json={"ttl_s": DAY}).status_code == 410


def test_a_label_is_changed_and_removed_and_the_list_follows(client: TestClient) -> None:
    adaptation = adapt(client, label="pump 17")
    adaptation_id = adaptation["adaptation_id"]

    def labelled(label: str) -> list[str]:
        return [
            each["adaptation_id"] for each in client.get("/adaptations", params={"label": label}).json()["adaptations"]
        ]

    assert edit(client, adaptation_id, label="pump 18") == adaptation | {"label": "pump 18"}
    assert (labelled("pump 17"), labelled("pump 18")) == ([], [adaptation_id])
    assert "label" not in edit(client, adaptation_id, label=None)
    assert labelled("pump 18") == []
    assert edit(client, adaptation_id, ttl_s=HOUR, label="both")["label"] == "both"


def test_nothing_is_adapted_again(client: TestClient, work: Work) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    before, tasks = predictions(client, adaptation_id), len(work.tasks)
    edit(client, adaptation_id, label="pump 18", ttl_s=HOUR)
    assert len(work.tasks) == tasks
    assert (predictions(client, adaptation_id) == before).all()
    history = client.get(f"/adaptations/{adaptation_id}/history").json()
    assert [each["change"] for each in history["revisions"]] == ["adapted"]


def test_an_edited_adaptation_is_extended_and_undone(client: TestClient) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    edit(client, adaptation_id, label="pump 18")
    more = client.post(f"/adaptations/{adaptation_id}/support", json={"inputs": [[3]], "targets": [0.56]}).json()
    assert (more["label"], more["revision"]) == ("pump 18", 2)
    edit(client, adaptation_id, label="pump 19")
    undone = client.post(f"/adaptations/{adaptation_id}/undo").json()
    assert (undone["label"], undone["revision"], undone["support_size"]) == ("pump 19", 3, 5)


@pytest.mark.parametrize(
    ("fields", "place", "detail"),
    [
        ({}, None, "expected label or ttl_s, got neither: send what is to change"),
        ({"ttl_s": 0}, "ttl_s", "at least 1"),
        ({"ttl_s": 10**9}, "ttl_s", "INNERLOOP_MAX_TTL_S"),
        ({"ttl_s": None}, "ttl_s", "a whole number"),
        ({"ttl_s": "1h"}, "ttl_s", "a whole number"),
        ({"label": 7}, "label", "a string"),
        ({"label": 201 * "x"}, "label", "at most 200 characters"),
        ({"pinned": True}, "pinned", "one of the fields label, ttl_s"),
    ],
)
def test_a_wrong_edit_says_what_is_wrong(client: TestClient, fields: Any, place: str | None, detail: str) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    refused = client.patch(f"/adaptations/{adaptation_id}", json=fields)
    assert refused.status_code == 422
    assert refused.json().get("place") == place
    assert detail in refused.json()["detail"]


def test_an_unknown_adaptation_and_a_csv_are_refused(client: TestClient) -> None:
    assert client.patch(f"/adaptations/{32 * '0'}", json={"ttl_s": 5}).status_code == 404
    adaptation_id = adapt(client)["adaptation_id"]
    csv = client.patch(f"/adaptations/{adaptation_id}", content=b"label\nx\n", headers={"content-type": "text/csv"})
    assert csv.status_code == 415
    assert "csv" not in csv.json()["detail"].split("got")[0]


def test_a_pinned_adaptation_keeps_its_bundle_for_as_long(
    serve: Callable[..., TestClient], own_models: Path, retrain: Callable[..., str], tmp_path: Path, clock: Clock
) -> None:
    settings = {"store": "sqlite", "state_dir": tmp_path / "state", "models_dir": own_models}
    client = serve(**settings)
    adaptation_id = adapt(client, pinned=True, ttl_s=HOUR)["adaptation_id"]
    edit(client, adaptation_id, ttl_s=20 * DAY)
    before = predictions(client, adaptation_id)
    client.__exit__(None, None, None)
    retrain(2)
    clock.now += 10 * DAY
    again = serve(**settings)
    assert again.portal is not None
    app: Any = again.app
    kept = app.state.server.models._kept
    again.portal.call(kept._store.collect, clock.now)
    assert (predictions(again, adaptation_id) == before).all()


def test_edits_and_additions_at_once_lose_nothing(serve_live: Callable[..., str], tmp_path: Path) -> None:
    url = serve_live(store="sqlite", state_dir=tmp_path)

    async def change() -> dict[str, Any]:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            support = {"inputs": [[0.5]], "targets": [1.92]}
            posted = await client.post("/adapt", json={"model": "sinusoid", "support": support})
            path = f"/adaptations/{posted.json()['adaptation_id']}"
            answers = await asyncio.gather(
                *(client.patch(path, json={"label": f"pump {number}"}) for number in range(20)),
                *(client.post(f"{path}/support", json=support) for _ in range(20)),
                client.patch(path, json={"ttl_s": 5 * DAY}),
            )
            assert {answer.status_code for answer in answers} == {200}
            final: dict[str, Any] = (await client.get(path)).json()
            expiries = [answer.json()["expires_at"] for answer in answers[-1:]]
            assert final["expires_at"] == expiries[0]
            return final

    final = asyncio.run(change())
    assert final["support_size"] == 21
    assert final["label"].startswith("pump ")
