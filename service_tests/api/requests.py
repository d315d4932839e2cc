"""Requests that many tests send, and a check of their answers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from fastapi.testclient import TestClient

QUERIES = [[-3.0], [-0.5], [1.0], [2.5]]
WAVE: dict[str, list[Any]] = {"inputs": [[-4], [-2], [0.5], [2], [4]], "targets": [3.03, -3.64, 1.92, 3.64, -3.03]}


def body(support: Any = WAVE, **fields: object) -> dict[str, Any]:
    """The body of POST /adapt, or with `queries` of POST /predict."""
    return {"model": "sinusoid", "support": support} | fields


def examples(count: int, seed: int = 0) -> dict[str, Any]:
    """A support set of that many examples of one sine wave."""
    x = np.random.default_rng(seed).uniform(-5, 5, count).astype(np.float32)
    return {"inputs": x[:, None].tolist(), "targets": np.sin(x).tolist()}


def adapt(client: TestClient, support: Any = WAVE, **fields: object) -> dict[str, Any]:
    """Create an adaptation and return it."""
    response = client.post("/adapt", json=body(support, **fields))
    assert response.status_code == 201, response.text
    adaptation: dict[str, Any] = response.json()
    return adaptation


def predictions(client: TestClient, adaptation_id: str, queries: Sequence[Sequence[float]] = QUERIES) -> np.ndarray:
    """The predictions of an adaptation."""
    response = client.post("/predict", json={"adaptation_id": adaptation_id, "queries": queries})
    assert response.status_code == 200, response.text
    return np.array(response.json()["predictions"])


def fresh_predictions(client: TestClient, support: Any, **fields: object) -> np.ndarray:
    """The predictions of a new adaptation to a support set."""
    return predictions(client, adapt(client, support, **fields)["adaptation_id"])


def get_support(client: TestClient, adaptation_id: str) -> dict[str, Any]:
    """The support set of an adaptation, in the form in which it is posted."""
    support = client.get(f"/adaptations/{adaptation_id}/support").json()
    return {"inputs": support["inputs"], "targets": support["targets"]}


def reload(client: TestClient) -> None:
    """Reload the models folder, and wait until that is done."""
    app: Any = client.app
    assert client.portal is not None
    client.portal.call(app.state.reloader.reload, *())


def assert_same(one: np.ndarray, two: np.ndarray) -> None:
    """Check that two arrays of predictions are equal within 1e-5."""
    np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-5)
