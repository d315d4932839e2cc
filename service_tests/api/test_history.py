"""GET /adaptations/{id}/history: each revision with what made it."""

from collections.abc import Callable

from fastapi.testclient import TestClient

from service_tests.api.ask import adapt, examples
from service_tests.conftest import Clock


def test_each_change_is_a_revision(client: TestClient, clock: Clock) -> None:
    made = adapt(client)
    id = made["adaptation_id"]
    for change in (
        lambda: client.post(f"/adaptations/{id}/support", json=examples(3)),
        lambda: client.delete(f"/adaptations/{id}/support/6"),
        lambda: client.post(f"/adaptations/{id}/support", json=examples(1)),
        lambda: client.post(f"/adaptations/{id}/undo"),
    ):
        clock.now += 1
        assert change().status_code == 200
    found = client.get(f"/adaptations/{id}/history").json()
    assert found["adaptation_id"] == id
    digest = made["model_digest"]
    assert all(each.pop("model_digest") == digest for each in found["revisions"])
    assert found["revisions"] == [
        {"revision": 1, "change": "adapted", "support_size": 5, "added": [0, 1, 2, 3, 4], "at": "2027-01-15T08:00:00.000Z"},
        {"revision": 2, "change": "extended", "support_size": 8, "added": [5, 7], "at": "2027-01-15T08:00:01.000Z"},
        {"revision": 3, "change": "forgot", "support_size": 7, "added": [], "forgotten": 6, "at": "2027-01-15T08:00:02.000Z"},
        {"revision": 4, "change": "extended", "support_size": 8, "added": [], "at": "2027-01-15T08:00:03.000Z"},
        {"revision": 5, "change": "undone", "support_size": 7, "added": [], "at": "2027-01-15T08:00:04.000Z"},
    ]  # fmt: skip


def test_what_fails_is_no_revision(client: TestClient) -> None:
    id = adapt(client)["adaptation_id"]
    client.post(f"/adaptations/{id}/undo")
    client.delete(f"/adaptations/{id}/support/99")
    client.post(f"/adaptations/{id}/support", json={"inputs": [[1e5]], "targets": [1e5]})
    assert len(client.get(f"/adaptations/{id}/history").json()["revisions"]) == 1


def test_changes_do_not_prolong_its_life(serve: Callable[..., TestClient], clock: Clock) -> None:
    client = serve()
    id = adapt(client, ttl_s=60)["adaptation_id"]
    clock.now += 59
    assert (
        client.post(f"/adaptations/{id}/support", json=examples(1)).json()["expires_at"] == "2027-01-15T08:01:00.000Z"
    )
    clock.now += 1
    assert client.get(f"/adaptations/{id}").status_code == 410
