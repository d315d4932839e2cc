"""GET /adaptations/{id}/history: each revision with what made it."""

from collections.abc import Callable

from fastapi.testclient import TestClient

from service_tests.api.ask import adapt, examples
from service_tests.conftest import Clock


def test_each_change_is_a_revision(client: TestClient, clock: Clock) -> None:
    made = adapt(client)
    it = made["adaptation_id"]
    for change in (
        lambda: client.post(f"/adaptations/{it}/support", json=examples(3)),
        lambda: client.delete(f"/adaptations/{it}/support/6"),
        lambda: client.post(f"/adaptations/{it}/support", json=examples(1)),
        lambda: client.post(f"/adaptations/{it}/undo"),
    ):
        clock.now += 1
        assert change().status_code == 200
    found = client.get(f"/adaptations/{it}/history").json()
    assert found["adaptation_id"] == it
    for second, each in enumerate(found["revisions"]):
        assert each.pop("model_digest") == made["model_digest"]
        assert each.pop("at") == f"2027-01-15T08:00:0{second}.000Z"
    assert found["revisions"] == [
        {"revision": 1, "change": "adapted", "support_size": 5, "added": [0, 1, 2, 3, 4]},
        {"revision": 2, "change": "extended", "support_size": 8, "added": [5, 7]},
        {"revision": 3, "change": "forgot", "support_size": 7, "added": [], "forgotten": 6},
        {"revision": 4, "change": "extended", "support_size": 8, "added": []},
        {"revision": 5, "change": "undone", "support_size": 7, "added": []},
    ]


def test_what_fails_is_no_revision(client: TestClient) -> None:
    it = adapt(client)["adaptation_id"]
    client.post(f"/adaptations/{it}/undo")
    client.delete(f"/adaptations/{it}/support/99")
    client.post(f"/adaptations/{it}/support", json={"inputs": [[1e5]], "targets": [1e5]})
    assert len(client.get(f"/adaptations/{it}/history").json()["revisions"]) == 1


def test_changes_do_not_prolong_its_life(serve: Callable[..., TestClient], clock: Clock) -> None:
    client = serve()
    it = adapt(client, ttl_s=60)["adaptation_id"]
    clock.now += 59
    assert (
        client.post(f"/adaptations/{it}/support", json=examples(1)).json()["expires_at"] == "2027-01-15T08:01:00.000Z"
    )
    clock.now += 1
    assert client.get(f"/adaptations/{it}").status_code == 410
