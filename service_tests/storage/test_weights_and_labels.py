"""Weights and declared classes stay with an adaptation: evicted, after a restart, and at another replica."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service_tests.api.requests import WAVE, adapt, assert_same, fresh_predictions, predictions
from service_tests.api.test_classification import SUPPORT, assert_same_answer, predict

WEIGHTS = [1, 0, 2, 0.5, 1]
WEIGHTED: dict[str, Any] = WAVE | {"weights": WEIGHTS}
MORE: dict[str, Any] = {"inputs": [[3], [-3]], "targets": [0.56, -0.56], "weights": [3, 0]}
WHOLE: dict[str, Any] = {key: WEIGHTED[key] + MORE[key] for key in WEIGHTED}
CLASSES = ["new", "up", "left", "日本 🜲"]
SUPPORTS: dict[str, dict[str, Any]] = {
    "labels alone": {"labels": CLASSES},
    "labels": SUPPORT | {"labels": CLASSES},
    "weights": SUPPORT | {"weights": [1, 0, 2, 1, 0.5, 0.5]},
    "both": SUPPORT | {"labels": CLASSES, "weights": [1, 0, 2, 1, 0, 0]},
}
regressions = pytest.mark.parametrize("model", ["sinusoid", "sinusoid-bayes"])
classifications = pytest.mark.parametrize("support", [pytest.param(each, id=name) for name, each in SUPPORTS.items()])


def restarted(client: TestClient, serve: Callable[..., TestClient], **settings: Any) -> TestClient:
    client.__exit__(None, None, None)
    client.portal = None
    return serve(**settings)


@regressions
def test_redis_keeps_weights(serve: Callable[..., TestClient], redis_url: str, model: str) -> None:
    """Through every change, at the replica that made it, at another one, and after a restart."""
    settings = {"store": "redis", "redis_url": redis_url}
    one, two = serve(**settings), serve(**settings)
    made = adapt(one, WEIGHTED, model=model)["adaptation_id"]

    def check(support: dict[str, Any]) -> None:
        expected = fresh_predictions(one, support, model=model)
        for client in (one, two):
            assert_same(predictions(client, made), expected)
            assert client.get(f"/adaptations/{made}/support").json()["weights"] == support["weights"]

    check(WEIGHTED)
    two.post(f"/adaptations/{made}/support", json=MORE).raise_for_status()
    check(WHOLE)
    one.delete(f"/adaptations/{made}/support/2").raise_for_status()
    check({key: [*value[:2], *value[3:]] for key, value in WHOLE.items()})
    two = restarted(two, serve, **settings)
    check({key: [*value[:2], *value[3:]] for key, value in WHOLE.items()})
    two.post(f"/adaptations/{made}/undo").raise_for_status()
    check({key: [*value[:2], *value[3:]] for key, value in WEIGHTED.items()})


@classifications
def test_redis_keeps_weights_and_classes_of_a_classifier(
    serve: Callable[..., TestClient], classifiers: Path, redis_url: str, support: dict[str, Any]
) -> None:
    settings = {"models_dir": classifiers, "store": "redis", "redis_url": redis_url}
    one, two = serve(**settings), serve(**settings)
    made = adapt(one, support, model="fixed")["adaptation_id"]
    expected = predict(one, model="fixed", support=support)
    for client in (one, two, serve(**settings)):
        assert_same_answer(predict(client, adaptation_id=made), expected)
    shown = two.get(f"/adaptations/{made}/support").json()
    assert {key: shown[key] for key in support} == support


@regressions
def test_sqlite_keeps_weights(serve: Callable[..., TestClient], tmp_path: Path, model: str) -> None:
    settings = {"store": "sqlite", "state_dir": tmp_path}
    client = serve(**settings)
    made = adapt(client, WEIGHTED, model=model)["adaptation_id"]
    client.post(f"/adaptations/{made}/support", json=MORE).raise_for_status()
    client = restarted(client, serve, **settings)
    assert_same(predictions(client, made), fresh_predictions(client, WHOLE, model=model))
    assert client.get(f"/adaptations/{made}/support").json()["weights"] == WHOLE["weights"]


@pytest.mark.parametrize("store", ["memory", "sqlite", "redis"])
@regressions
def test_an_evicted_one_is_derived_again_with_its_weights(
    serve: Callable[..., TestClient],
    tmp_path: Path,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    store: str,
    model: str,
) -> None:
    monkeypatch.setattr("app.service.engine.MIN_CACHE_BYTES", 1)  # room for 2
    client = serve(store=store, state_dir=tmp_path, redis_url=redis_url, fast_weights_bytes=0)
    supports = [WEIGHTED, WAVE, WHOLE, WAVE | {"weights": WEIGHTS[::-1]}]
    ids = [adapt(client, each, model=model)["adaptation_id"] for each in supports]
    for made, support in zip(ids, supports, strict=True):
        assert_same(predictions(client, made), fresh_predictions(client, support, model=model))
