"""Several servers on one Redis: what one has made, each answers, and changes at once keep each other."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from redis import Redis

from service_tests.api.requests import reload

SUPPORT = {"inputs": [[-4.0], [-2.0], [0.5], [2.0], [4.0]], "targets": [3.03, -3.64, 1.92, 3.64, -3.03]}
QUERIES = [[-3.0], [1.0], [3.0]]


@pytest.fixture
def replicas(serve: Callable[..., TestClient], redis_url: str) -> tuple[TestClient, TestClient]:
    one, two = (serve(store="redis", redis_url=redis_url) for _ in range(2))
    for each in (one, two):  # FastAPI builds routes at their first request, and hides warnings for one thread only
        each.get("/adaptations/none/support")
    return one, two


def adapt(client: TestClient, **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client.post("/adapt", json={"model": "sinusoid", "support": SUPPORT} | more).json()
    return answer


def predict(client: TestClient, question: dict[str, Any]) -> list[float]:
    answer = client.post("/predict", json=question | {"queries": QUERIES}).raise_for_status().json()
    return [row[0] for row in answer["predictions"]]


def test_another_replica_predicts_the_same(replicas: tuple[TestClient, TestClient]) -> None:
    made = {"adaptation_id": adapt(replicas[0])["adaptation_id"]}
    assert predict(replicas[1], made) == pytest.approx(predict(replicas[0], made), abs=1e-4)


def test_two_replicas_that_extend_at_once_both_keep_theirs(replicas: tuple[TestClient, TestClient]) -> None:
    made = adapt(replicas[0])["adaptation_id"]

    def extend(number: int) -> int:
        more = {"inputs": [[number / 10]], "targets": [number / 5]}
        return replicas[number % 2].post(f"/adaptations/{made}/support", json=more).status_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(extend, range(16))) == {200}
    for client in replicas:
        examples = client.get(f"/adaptations/{made}/support").json()
        assert examples["examples"] == list(range(21))
        assert sorted(row[0] for row in examples["inputs"][5:]) == pytest.approx([n / 10 for n in range(16)])
    support = {"inputs": examples["inputs"], "targets": examples["targets"]}
    afresh = predict(replicas[0], {"model": "sinusoid", "support": support})
    for client in replicas:
        assert predict(client, {"adaptation_id": made}) == pytest.approx(afresh, abs=1e-4)


def test_a_repeat_at_another_replica_is_recognised(replicas: tuple[TestClient, TestClient]) -> None:
    one, two = (adapt(client, reuse=True)["adaptation_id"] for client in replicas)
    assert one == two


def test_a_pinned_adaptation_keeps_its_bundle_at_every_replica_and_after_a_restart(
    serve: Callable[..., TestClient], redis_url: str, own_models: Path, retrain: Callable[..., str]
) -> None:
    def start() -> TestClient:
        return serve(store="redis", redis_url=redis_url, models_dir=own_models)

    one, two = start(), start()
    made = adapt(one, pinned=True)
    asked = {"adaptation_id": made["adaptation_id"]}
    before = predict(one, asked)
    retrain(1.05)
    reload(one)
    three = start()  # it has never had the older bundle, and neither has it been told of the newer one
    for client in (one, two, three):
        assert predict(client, asked) == pytest.approx(before, abs=1e-4)
    assert predict(three, {"model": "sinusoid", "support": SUPPORT}) != pytest.approx(before, abs=1e-3)
    for client in (one, two, three):
        client.__exit__(None, None, None)
    with Redis.from_url(redis_url) as redis:
        (key,) = redis.keys(f"*:bundle:{made['model_digest']}")
        assert redis.ttl(key) > 86_400
        assert predict(start(), asked) == pytest.approx(before, abs=1e-4)
        redis.delete(key)
    answer = start().post("/predict", json=asked | {"queries": QUERIES})
    assert answer.status_code == 409
    assert made["model_digest"] in answer.json()["detail"]
