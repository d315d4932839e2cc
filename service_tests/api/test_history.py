"""GET /adaptations/{id}/history: each revision with the change that made it."""

from collections.abc import Callable

from fastapi.testclient import TestClient

from service_tests.api.requests import adapt, examples
from service_tests.conftest import Clock


def test_each_change_is_a_revision(client: TestClient, clock: Clock) -> None:
    adaptation = adapt(client)
    adaptation_id = adaptation["adaptation_id"]
    for change in (
        lambda: client.post(f"/adaptations/{adaptation_id}/support", json=examples(3)),
        lambda: client.delete(f"/adaptations/{adaptation_id}/support/6"),
        lambda: client.post(f"/adaptations/{adaptation_id}/support", json=examples(1)),
        lambda: client.post(f"/adaptations/{adaptation_id}/undo"),
    ):
        clock.now += 1
        assert change().status_code == 200
    history = client.get(f"/adaptations/{adaptation_id}/history").json()
    assert history["adaptation_id"] == adaptation_id
    for second, revision in enumerate(history["revisions"]):
        assert revision.pop("model_digest") == adaptation["model_digest"]
        assert revision.pop("at") == f"2027-01-15T08:00:0{second}.000Z"
    assert history["revisions"] == [
        {"revision": 1, "change": "adapted", "support_size": 5, "added": [0, 1, 2, 3, 4]},
        {"revision": 2, "change": "extended", "support_size": 8, "added": [5, 7]},
        {"revision": 3, "change": "forgot", "support_size": 7, "added": [], "forgotten": 6},
        {"revision": 4, "change": "extended", "support_size": 8, "added": []},
        {"revision": 5, "change": "undone", "support_size": 7, "added": []},
    ]


def test_a_failed_change_makes_no_revision(client: TestClient) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    client.post(f"/adaptations/{adaptation_id}/undo")
    client.delete(f"/adaptations/{adaptation_id}/support/99")
    client.post(f"/adaptations/{adaptation_id}/support", json={"inputs": [[1e5]], "targets": [1e5]})
    assert len(client.get(f"/adaptations/{adaptation_id}/history").json()["revisions"]) == 1


def test_changes_do_not_extend_the_ttl(serve: Callable[..., TestClient], clock: Clock) -> None:
    client = serve()
    adaptation_id = adapt(client, ttl_s=60)["adaptation_id"]
    clock.now += 59
    assert (
        client.post(f"/adaptations/{adaptation_id}/support", json=examples(1)).json()["expires_at"]
        == "2027-01-15T08:01:00.000Z"
    )
    clock.now += 1
    assert client.get(f"/adaptations/{adaptation_id}").status_code == 410
