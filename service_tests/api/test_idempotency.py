"""Repeated requests, recognised by their Idempotency-Key or, with `"reuse": true`, by their content."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.service.engine import Engine
from service_tests.api.requests import WAVE, adapt, assert_same, body, examples, predictions, reload
from service_tests.conftest import Clock, Work


def adapt_with_key(client: TestClient, key: str = "k", **fields: object) -> Any:
    return client.post("/adapt", json=body(**fields), headers={"idempotency-key": key})


def id_of(response: Any) -> str:
    assert response.status_code == 201, response.text
    return str(response.json()["adaptation_id"])


@pytest.fixture(params=["memory", "sqlite"])
def client(serve: Callable[..., TestClient], tmp_path: Path, request: pytest.FixtureRequest) -> TestClient:
    return serve(store=request.param, state_dir=tmp_path)


def test_the_same_key_and_body_give_the_same_adaptation(client: TestClient) -> None:
    first = adapt_with_key(client)
    again = adapt_with_key(client)
    assert again.status_code == 201
    assert again.json() == first.json()
    assert len(client.get("/adaptations").json()["adaptations"]) == 1
    assert id_of(adapt_with_key(client, "another")) != id_of(first)


def test_the_same_body_can_be_written_differently(client: TestClient) -> None:
    adaptation_id = id_of(adapt_with_key(client, label="x"))
    reordered = {"label": "x", "support": {"targets": [[t] for t in WAVE["targets"]], "inputs": WAVE["inputs"]}}
    text = json.dumps(reordered | {"model": "sinusoid"}, indent=3)
    headers = {"idempotency-key": "k", "content-type": "application/json"}
    assert id_of(client.post("/adapt", content=text, headers=headers)) == adaptation_id


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
    adapt_with_key(client)
    response = adapt_with_key(client, **other)
    assert response.status_code == 422
    assert response.json()["type"] == "urn:problem-type:innerloop:key-reused"
    assert len(client.get("/adaptations").json()["adaptations"]) == 1


def test_a_used_key_is_refused_before_the_work_is_found_to_fail(client: TestClient) -> None:
    adapt_with_key(client)
    response = adapt_with_key(client, support={"inputs": [[1e5]], "targets": [1e5]})
    assert response.json()["type"] == "urn:problem-type:innerloop:key-reused"


def test_a_repeat_finds_its_adaptation_even_if_the_work_fails_now(
    serve: Callable[..., TestClient], own_models: Path, retrain: Callable[..., str]
) -> None:
    client = serve(models_dir=own_models)
    adaptation_id = id_of(adapt_with_key(client))
    retrain(1e20)
    reload(client)
    assert adapt_with_key(client, "another").status_code == 422
    assert id_of(adapt_with_key(client)) == adaptation_id


def test_a_key_takes_precedence_over_the_content(client: TestClient) -> None:
    """A key that was used for another body is refused, even if the content matches another adaptation."""
    adapt_with_key(client, reuse=True)
    adapt(client, examples(3), reuse=True)
    assert adapt_with_key(client, support=examples(3), reuse=True).status_code == 422


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "two words", "tab\tbed", "caf\u00e9"])
def test_an_invalid_key_is_refused(client: TestClient, key: str) -> None:
    response = client.post("/adapt", json=body(), headers={b"idempotency-key": key.encode("latin-1")})
    assert response.status_code == 422
    assert response.json()["place"] == "Idempotency-Key"
    assert client.get("/adaptations").json() == {"adaptations": []}


def test_two_keys_are_refused(client: TestClient) -> None:
    headers = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]
    response = client.post("/adapt", json=body(), headers=headers)
    assert response.status_code == 422
    assert response.json()["detail"].startswith("Idempotency-Key: expected 1 to 255 ASCII characters")


def test_a_key_can_have_255_characters(client: TestClient) -> None:
    assert id_of(adapt_with_key(client, "x" * 255)) == id_of(adapt_with_key(client, "x" * 255))


def test_concurrent_repeats_are_computed_once(client: TestClient, work: Work) -> None:
    work.hold()
    with ThreadPoolExecutor(20) as threads:
        futures = [threads.submit(adapt_with_key, client) for _ in range(20)]
        work.until_waiting()
        work.release()
        assert len({id_of(future.result()) for future in futures}) == 1
    assert len(work.tasks) == 1


def test_the_key_of_a_failed_request_can_be_used_again(client: TestClient) -> None:
    diverges = {"inputs": [[1e5]], "targets": [1e5]}
    assert adapt_with_key(client, support=diverges).status_code == 422
    assert adapt_with_key(client).status_code == 201


def test_a_key_is_free_again_when_its_adaptation_is_gone(client: TestClient, clock: Clock) -> None:
    first = id_of(adapt_with_key(client))
    client.delete(f"/adaptations/{first}")
    second = id_of(adapt_with_key(client, ttl_s=60))
    assert second != first
    clock.now += 60
    third = id_of(adapt_with_key(client, steps=3))
    assert third != second
    assert client.get(f"/adaptations/{second}").status_code == 410, "the expired id still answers 410"
    clock.now += 1
    assert id_of(adapt_with_key(client, steps=3)) == third


def test_a_key_finds_an_adaptation_that_was_extended_since(client: TestClient) -> None:
    adaptation_id = id_of(adapt_with_key(client))
    client.post(f"/adaptations/{adaptation_id}/support", json=examples(2))
    again = adapt_with_key(client)
    assert id_of(again) == adaptation_id
    assert again.json()["revision"] == 2


def test_the_same_content_is_found_if_both_requests_set_reuse(client: TestClient) -> None:
    adaptation = adapt(client, reuse=True)
    assert adapt(client, reuse=True) == adaptation
    assert adapt(client)["adaptation_id"] != adaptation["adaptation_id"]
    others: list[dict[str, Any]] = [
        {"support": examples(5)},
        {"steps": 4},
        {"learning_rate": 0.001},
        {"model": "linear", "steps": 1},
        {"pinned": True},
    ]
    ids = {adapt(client, **({"reuse": True} | other))["adaptation_id"] for other in others}
    assert len(ids | {adaptation["adaptation_id"]}) == 6


def test_the_same_content_in_concurrent_requests_is_computed_once(client: TestClient, work: Work) -> None:
    work.hold()
    with ThreadPoolExecutor(20) as threads:
        futures = [threads.submit(adapt, client, reuse=True) for _ in range(20)]
        work.until_waiting()
        work.release()
        assert len({future.result()["adaptation_id"] for future in futures}) == 1
    assert len(work.tasks) == 1


@pytest.mark.parametrize("change", ["extend", "forget", "undo", "delete"])
def test_reuse_does_not_find_an_adaptation_whose_content_has_changed(client: TestClient, change: str) -> None:
    adaptation_id = adapt(client, reuse=True)["adaptation_id"]
    path = f"/adaptations/{adaptation_id}"
    if change == "forget":
        client.delete(f"{path}/support/0")
    elif change == "delete":
        client.delete(path)
    else:
        client.post(f"{path}/support", json=examples(2))
        if change == "undo":
            client.post(f"{path}/undo")
    again = adapt(client, reuse=True)["adaptation_id"]
    assert again != adaptation_id
    assert adapt(client, reuse=True)["adaptation_id"] == again


def test_reuse_is_limited_to_one_bundle(
    serve: Callable[..., TestClient], own_models: Path, retrain: Callable[..., str]
) -> None:
    client = serve(models_dir=own_models)
    adaptation_id = adapt(client, reuse=True)["adaptation_id"]
    keyed_id = id_of(adapt_with_key(client))
    retrain(1.01)
    reload(client)
    again = adapt(client, reuse=True)
    assert again["adaptation_id"] != adaptation_id
    assert id_of(adapt_with_key(client)) == keyed_id, (
        "a key belongs to one adaptation, even after its bundle is replaced"
    )
    assert_same(predictions(client, adaptation_id), predictions(client, again["adaptation_id"]))


def test_two_servers_that_share_a_store_agree(
    serve: Callable[..., TestClient], work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both servers begin before either has stored anything; the second one returns the first one's adaptation."""
    one, two = serve(), serve()
    first, second = (client.app.state.server.adaptations for client in (one, two))  # type: ignore[attr-defined]
    for part in (second, second._idempotency):
        monkeypatch.setattr(part, "_store", first._store)
    work.hold()
    with ThreadPoolExecutor(2) as threads:
        futures = [threads.submit(adapt_with_key, client) for client in (one, two)]
        work.until_waiting(2)
        work.let_through(2)
        assert len({id_of(future.result()) for future in futures}) == 1
        futures = [threads.submit(adapt_with_key, one, "k2"), threads.submit(adapt_with_key, two, "k2", steps=1)]
        work.until_waiting(4)
        work.let_through(2)
        assert sorted(future.result().status_code for future in futures) == [201, 422]
    assert len(work.tasks) == 4
    assert len(one.get("/adaptations").json()["adaptations"]) == 2


def test_another_server_finds_the_adaptation_where_its_own_work_fails(
    serve: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object) -> None:
        raise ZeroDivisionError

    one, two = serve(), serve()
    first, second = (client.app.state.server.adaptations for client in (one, two))  # type: ignore[attr-defined]
    for part in (second, second._idempotency):
        monkeypatch.setattr(part, "_store", first._store)
    adaptation_id = id_of(adapt_with_key(one))
    monkeypatch.setattr(Engine, "run", fails)
    assert id_of(adapt_with_key(two)) == adaptation_id
    with pytest.raises(ZeroDivisionError):
        adapt_with_key(two, "another")


def change(client: TestClient, adaptation_id: str, support: Any = None, key: str = "k") -> Any:
    """Add examples with a key, or undo if no examples are given."""
    path = f"/adaptations/{adaptation_id}/" + ("undo" if support is None else "support")
    return client.post(path, headers={"idempotency-key": key}, **({} if support is None else {"json": support}))


def test_more_examples_with_a_key_are_added_once(client: TestClient) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    first = change(client, adaptation_id, examples(2))
    assert change(client, adaptation_id, examples(2)).json() == first.json()
    assert first.json()["revision"] == 2
    assert change(client, adaptation_id, examples(2), "another").json()["support_size"] == 9
    later = change(client, adaptation_id, examples(2))
    assert later.json()["revision"] == 3, "the answer shows the current revision"
    assert change(client, adapt(client)["adaptation_id"], examples(3)).status_code == 200, (
        "a key of a change belongs to one adaptation"
    )


def test_undo_with_a_key_is_done_once(client: TestClient) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    for seed in range(3):
        client.post(f"/adaptations/{adaptation_id}/support", json=examples(2, seed))
    assert [change(client, adaptation_id).json()["support_size"] for _ in range(3)] == [9] * 3
    assert change(client, adaptation_id, key="another").json()["support_size"] == 7


def test_a_key_that_was_used_for_another_change_is_refused(client: TestClient) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    change(client, adaptation_id, examples(2))
    for response in (change(client, adaptation_id, examples(2, seed=1)), change(client, adaptation_id)):
        assert response.status_code == 422
        assert response.json()["type"] == "urn:problem-type:innerloop:key-reused"
    assert client.get(f"/adaptations/{adaptation_id}").json()["revision"] == 2


def test_a_repeated_change_is_not_applied_again_after_forget_or_undo(client: TestClient) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    change(client, adaptation_id, examples(2))
    client.delete(f"/adaptations/{adaptation_id}/support/5")
    assert change(client, adaptation_id, examples(2)).json()["examples"] == [0, 1, 2, 3, 4, 6]
    client.post(f"/adaptations/{adaptation_id}/undo")
    assert change(client, adaptation_id, examples(2)).json()["examples"] == [0, 1, 2, 3, 4]


def test_concurrent_repeats_of_a_change_are_applied_once(client: TestClient) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: change(client, adaptation_id, examples(2)).json(), range(8)))
    assert [each["revision"] for each in answers] == [2] * 8
    assert client.get(f"/adaptations/{adaptation_id}").json()["support_size"] == 7


def test_concurrent_repeats_of_a_change_are_computed_once(client: TestClient, work: Work) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    work.hold()
    with ThreadPoolExecutor(8) as threads:
        answers = [threads.submit(change, client, adaptation_id, examples(2)) for _ in range(8)]
        work.until_waiting()
        work.release()
        assert [each.result().json()["revision"] for each in answers] == [2] * 8
    assert len(work.tasks) == 2, "one to adapt, and one to extend"


def test_an_invalid_key_for_a_change_is_refused(client: TestClient) -> None:
    adaptation_id = adapt(client)["adaptation_id"]
    for response in (
        change(client, adaptation_id, examples(2), "two words"),
        change(client, adaptation_id, key="two words"),
    ):
        assert response.status_code == 422
        assert response.json()["place"] == "Idempotency-Key"
