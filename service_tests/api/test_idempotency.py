"""A request that is repeated: by its Idempotency-Key, or by its content with `"reuse": true`."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service_tests.api.ask import WAVE, adapt, assert_same, body, examples, predictions, reload
from service_tests.conftest import Clock, Work


def keyed(client: TestClient, key: str = "k", **fields: object) -> Any:
    return client.post("/adapt", json=body(**fields), headers={"idempotency-key": key})


def id_of(response: Any) -> str:
    assert response.status_code == 201, response.text
    return str(response.json()["adaptation_id"])


@pytest.fixture(params=["memory", "sqlite"])
def client(serve: Callable[..., TestClient], tmp_path: Path, request: pytest.FixtureRequest) -> TestClient:
    return serve(store=request.param, state_dir=tmp_path)


def test_the_same_key_and_body_give_the_same_adaptation(client: TestClient) -> None:
    first = keyed(client)
    again = keyed(client)
    assert again.status_code == 201
    assert again.json() == first.json()
    assert len(client.get("/adaptations").json()["adaptations"]) == 1
    assert id_of(keyed(client, "another")) != id_of(first)


def test_the_same_body_may_be_written_otherwise(client: TestClient) -> None:
    made = id_of(keyed(client, label="x"))
    turned = {"label": "x", "support": {"targets": [[t] for t in WAVE["targets"]], "inputs": WAVE["inputs"]}}
    text = json.dumps(turned | {"model": "sinusoid"}, indent=3)
    headers = {"idempotency-key": "k", "content-type": "application/json"}
    assert id_of(client.post("/adapt", content=text, headers=headers)) == made


@pytest.mark.parametrize(
    "other",
    [
        {"support": examples(5)},
        {"steps": 4},
        {"learning_rate": 0.001},
        {"ttl_s": 60},
        {"label": "x"},
        {"pinned": True},
        {"reuse": True},
        {"assess": "leave_one_out"},
        {"model": "linear"},
    ],
)
def test_the_same_key_with_another_body_is_refused(client: TestClient, other: dict[str, Any]) -> None:
    keyed(client)
    response = keyed(client, **other)
    assert response.status_code == 422
    assert response.json()["type"] == "urn:problem-type:innerloop:key-reused"
    assert len(client.get("/adaptations").json()["adaptations"]) == 1


def test_a_key_counts_before_the_content(client: TestClient) -> None:
    """What other content would be found is not asked, if the key was used for another body."""
    keyed(client, reuse=True)
    adapt(client, examples(3), reuse=True)
    assert keyed(client, support=examples(3), reuse=True).status_code == 422


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "two words", "tab\tbed", "caf\u00e9"])
def test_a_key_that_cannot_be_used(client: TestClient, key: str) -> None:
    response = client.post("/adapt", json=body(), headers={b"idempotency-key": key.encode("latin-1")})
    assert response.status_code == 422
    assert response.json()["place"] == "Idempotency-Key"
    assert client.get("/adaptations").json() == {"adaptations": []}


def test_the_longest_key(client: TestClient) -> None:
    assert id_of(keyed(client, "x" * 255)) == id_of(keyed(client, "x" * 255))


def test_repeats_at_the_same_time_are_computed_once(client: TestClient, work: Work) -> None:
    work.hold()
    with ThreadPoolExecutor(20) as threads:
        asked = [threads.submit(keyed, client) for _ in range(20)]
        work.until_waiting()
        work.release()
        assert len({id_of(each.result()) for each in asked}) == 1
    assert len(work.tasks) == 1


def test_what_failed_is_not_remembered(client: TestClient) -> None:
    diverges = {"inputs": [[1e5]], "targets": [1e5]}
    assert keyed(client, support=diverges).status_code == 422
    assert keyed(client).status_code == 201


def test_a_key_is_free_again_when_its_adaptation_is_gone(client: TestClient, clock: Clock) -> None:
    first = id_of(keyed(client))
    client.delete(f"/adaptations/{first}")
    second = id_of(keyed(client, ttl_s=60))
    assert second != first
    clock.now += 60
    third = id_of(keyed(client, steps=3))
    assert third != second
    assert client.get(f"/adaptations/{second}").status_code == 410, "it is remembered all the same"
    clock.now += 1
    assert id_of(keyed(client, steps=3)) == third


def test_a_key_still_finds_what_was_extended_since(client: TestClient) -> None:
    made = id_of(keyed(client))
    client.post(f"/adaptations/{made}/support", json=examples(2))
    again = keyed(client)
    assert id_of(again) == made
    assert again.json()["revision"] == 2


def test_the_same_content_is_found_where_both_wish_it(client: TestClient) -> None:
    made = adapt(client, reuse=True)
    assert adapt(client, reuse=True) == made
    assert adapt(client)["adaptation_id"] != made["adaptation_id"]
    others: list[dict[str, Any]] = [
        {"support": examples(5)},
        {"steps": 4},
        {"learning_rate": 0.001},
        {"model": "linear", "steps": 1},
        {"pinned": True},
    ]
    ids = {adapt(client, **({"reuse": True} | other))["adaptation_id"] for other in others}
    assert len(ids | {made["adaptation_id"]}) == 6


def test_the_same_content_at_the_same_time_is_computed_once(client: TestClient, work: Work) -> None:
    work.hold()
    with ThreadPoolExecutor(20) as threads:
        asked = [threads.submit(adapt, client, reuse=True) for _ in range(20)]
        work.until_waiting()
        work.release()
        assert len({each.result()["adaptation_id"] for each in asked}) == 1
    assert len(work.tasks) == 1


@pytest.mark.parametrize("change", ["extend", "forget", "undo", "delete"])
def test_content_does_not_find_what_has_other_content_now(client: TestClient, change: str) -> None:
    made = adapt(client, reuse=True)["adaptation_id"]
    path = f"/adaptations/{made}"
    if change == "forget":
        client.delete(f"{path}/support/0")
    elif change == "delete":
        client.delete(path)
    else:
        client.post(f"{path}/support", json=examples(2))
        if change == "undo":
            client.post(f"{path}/undo")
    again = adapt(client, reuse=True)["adaptation_id"]
    assert again != made
    assert adapt(client, reuse=True)["adaptation_id"] == again


def test_content_is_of_one_bundle(
    serve: Callable[..., TestClient], own_models: Path, retrain: Callable[..., str]
) -> None:
    client = serve(models_dir=own_models)
    made = adapt(client, reuse=True)["adaptation_id"]
    key = id_of(keyed(client))
    retrain(1.01)
    reload(client)
    again = adapt(client, reuse=True)
    assert again["adaptation_id"] != made
    assert id_of(keyed(client)) == key, "a key is for one adaptation, whatever its bundle becomes"
    assert_same(predictions(client, made), predictions(client, again["adaptation_id"]))


def test_two_servers_that_share_a_store_agree(
    serve: Callable[..., TestClient], work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have begun before either has kept anything: the one that comes second gives the first one's."""
    one, two = serve(), serve()
    first, second = (each.app.state.server.adaptations for each in (one, two))  # type: ignore[attr-defined]
    for part in (second, second._idempotency):
        monkeypatch.setattr(part, "_store", first._store)
    work.hold()
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(keyed, client) for client in (one, two)]
        work.until_waiting(2)
        work.let(2)
        assert len({id_of(each.result()) for each in asked}) == 1
        asked = [threads.submit(keyed, one, "k2"), threads.submit(keyed, two, "k2", steps=1)]
        work.until_waiting(4)
        work.let(2)
        assert sorted(each.result().status_code for each in asked) == [201, 422]
    assert len(work.tasks) == 4
    assert len(one.get("/adaptations").json()["adaptations"]) == 2


def change(client: TestClient, it: str, sent: Any = None, key: str = "k") -> Any:
    """More examples, or undo where there are none, with a key."""
    path = f"/adaptations/{it}/" + ("undo" if sent is None else "support")
    return client.post(path, headers={"idempotency-key": key}, **({} if sent is None else {"json": sent}))


def test_more_examples_with_a_key_are_added_once(client: TestClient) -> None:
    it = adapt(client)["adaptation_id"]
    first = change(client, it, examples(2))
    assert change(client, it, examples(2)).json() == first.json()
    assert first.json()["revision"] == 2
    assert change(client, it, examples(2), "another").json()["support_size"] == 9
    later = change(client, it, examples(2))
    assert later.json()["revision"] == 3, "the adaptation as it is now"
    assert change(client, adapt(client)["adaptation_id"], examples(3)).status_code == 200, "of one adaptation each"


def test_undo_with_a_key_is_done_once(client: TestClient) -> None:
    it = adapt(client)["adaptation_id"]
    for seed in range(3):
        client.post(f"/adaptations/{it}/support", json=examples(2, seed))
    assert [change(client, it).json()["support_size"] for _ in range(3)] == [9] * 3
    assert change(client, it, key="another").json()["support_size"] == 7


def test_a_key_that_came_with_another_change_is_refused(client: TestClient) -> None:
    it = adapt(client)["adaptation_id"]
    change(client, it, examples(2))
    for response in (change(client, it, examples(2, seed=1)), change(client, it)):
        assert response.status_code == 422
        assert response.json()["type"] == "urn:problem-type:innerloop:key-reused"
    assert client.get(f"/adaptations/{it}").json()["revision"] == 2


def test_a_change_that_was_forgotten_or_undone_since_is_not_done_again(client: TestClient) -> None:
    it = adapt(client)["adaptation_id"]
    change(client, it, examples(2))
    client.delete(f"/adaptations/{it}/support/5")
    assert change(client, it, examples(2)).json()["examples"] == [0, 1, 2, 3, 4, 6]
    client.post(f"/adaptations/{it}/undo")
    assert change(client, it, examples(2)).json()["examples"] == [0, 1, 2, 3, 4]


def test_changes_that_are_repeated_at_the_same_time_are_one(client: TestClient) -> None:
    it = adapt(client)["adaptation_id"]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: change(client, it, examples(2)).json(), range(8)))
    assert [each["revision"] for each in answers] == [2] * 8
    assert client.get(f"/adaptations/{it}").json()["support_size"] == 7


def test_a_key_for_a_change_that_cannot_be_used(client: TestClient) -> None:
    it = adapt(client)["adaptation_id"]
    for response in (change(client, it, examples(2), "two words"), change(client, it, key="two words")):
        assert response.status_code == 422
        assert response.json()["place"] == "Idempotency-Key"
