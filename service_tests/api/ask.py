"""What many tests ask of a server."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from fastapi.testclient import TestClient

QUERIES = [[-3.0], [-0.5], [1.0], [2.5]]
WAVE: dict[str, list[Any]] = {"inputs": [[-4], [-2], [0.5], [2], [4]], "targets": [3.03, -3.64, 1.92, 3.64, -3.03]}


def body(support: Any = WAVE, **fields: object) -> dict[str, Any]:
    """A body of POST /adapt."""
    return {"model": "sinusoid", "support": support} | fields


def examples(count: int, seed: int = 0) -> dict[str, Any]:
    """A support set of one sine."""
    x = np.random.default_rng(seed).uniform(-5, 5, count).astype(np.float32)
    return {"inputs": x[:, None].tolist(), "targets": np.sin(x).tolist()}


def adapt(client: TestClient, support: Any = WAVE, **fields: object) -> dict[str, Any]:
    """A new adaptation."""
    response = client.post("/adapt", json=body(support, **fields))
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


def predictions(client: TestClient, id: str, queries: Sequence[Sequence[float]] = QUERIES) -> np.ndarray:
    """What an adaptation answers."""
    response = client.post("/predict", json={"adaptation_id": id, "queries": queries})
    assert response.status_code == 200, response.text
    return np.array(response.json()["predictions"])


def afresh(client: TestClient, support: Any, **fields: object) -> np.ndarray:
    """What a new adaptation to a support set answers."""
    return predictions(client, adapt(client, support, **fields)["adaptation_id"])


def support_of(client: TestClient, id: str) -> dict[str, Any]:
    """The examples of an adaptation, as they are posted."""
    found = client.get(f"/adaptations/{id}/support").json()
    return {"inputs": found["inputs"], "targets": found["targets"]}


def reload(client: TestClient) -> None:
    """Read the models folder again, and wait for it."""
    app: Any = client.app
    assert client.portal is not None
    client.portal.call(app.state.reloader.reload, *())


def assert_same(one: np.ndarray, two: np.ndarray) -> None:
    """The same predictions."""
    np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-5)
