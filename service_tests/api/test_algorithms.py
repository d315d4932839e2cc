"""Every registered algorithm is served, for each kind that it can predict."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from safetensors.numpy import load as load_weights

from app.learn.algorithms import ALGORITHMS

FAMILIES = {"classification": ("blobs", {}), "regression": ("linear", {"features": 2, "targets": 2})}
CASES = [(name, kind) for name, algorithm in ALGORITHMS.items() for kind in FAMILIES if kind in algorithm.kinds]
"""Decisions have episodes instead of rows, and are tested in test_decisions.py."""
INPUTS = [[0, 0], [0.5, -0.5], [-0.5, 0.5], [1, 1], [0.2, -1], [-1, 0.3]]
TARGETS: dict[str, list[Any]] = {
    "classification": ["a", "b", "c", "a", "b", "c"],
    "regression": [[1, 0], [0.5, 1], [1, 2], [0, 3], [0.5, 0.5], [2, 1]],
}
QUERIES = [[0.1, 0.2], [-3, 2], [0.4, 0.4]]


@pytest.fixture(scope="module")
def every_algorithm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle for each algorithm and kind, named `algorithm-kind`."""
    from app.learn.networks import NetworkSpec
    from service_tests.bundles import write_bundle

    folder = tmp_path_factory.mktemp("models")
    for name, kind in CASES:
        family, options = FAMILIES[kind]
        network = "context_mlp" if name == "cavia" else "mlp"
        outputs = 8 if ALGORITHMS[name].embeds else 5 if kind == "classification" else 2
        form = NetworkSpec(network, {"inputs": 2, "outputs": outputs, "hidden": [16]})
        write_bundle(folder / f"{name}-{kind}", family, name, form, options=options, steps=3, rate=0.01)
    return folder


@pytest.fixture(scope="module")
def client(every_algorithm: Path) -> Any:
    from app.main import create_app
    from app.settings import Settings

    settings = Settings(models_dir=every_algorithm, compile=False, watch=False, store="memory")
    with TestClient(create_app(settings)) as client:
        yield client


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_an_algorithm_is_served(client: TestClient, name: str, kind: str) -> None:
    algorithm, model = ALGORITHMS[name], f"{name}-{kind}"
    support = {"inputs": INPUTS, "targets": TARGETS[kind]}
    response = client.post("/adapt", json={"model": model, "support": support, "assess": "leave_one_out"})
    assert response.status_code == 201, response.text
    adaptation = response.json()
    assert len(adaptation["losses"]) == (2 if algorithm.closed_form else 4)
    assert adaptation["quality"]["folds"] == 6
    answers = []
    for source in ({"adaptation_id": adaptation["adaptation_id"]}, {"model": model, "support": support}):
        answer = client.post("/predict", json={"queries": QUERIES} | source).json()
        key = "probabilities" if kind == "classification" else "predictions"
        answers.append(np.array(answer[key]))
        one_query = client.post("/predict", json={"queries": QUERIES[1:2]} | source).json()
        np.testing.assert_allclose(one_query[key], answers[-1][1:2], rtol=1e-4, atol=1e-5)
        assert ("std" in answer) == (name in ("alpaca", "ensemble"))
    np.testing.assert_allclose(answers[0], answers[1], rtol=1e-4, atol=1e-5)
    weights = load_weights(client.get(f"/adaptations/{adaptation['adaptation_id']}/weights").content)
    assert not [each for each in weights if each.startswith("inner/rate")]
    events = client.post("/adapt", json={"model": model, "support": support}, headers={"accept": "text/event-stream"})
    assert events.text.count("event: step") == len(adaptation["losses"])
    more = client.post(f"/adaptations/{adaptation['adaptation_id']}/support", json=support).json()
    assert more["support_size"] == 12


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_settings_that_an_algorithm_does_not_use_are_refused(client: TestClient, name: str, kind: str) -> None:
    algorithm = ALGORITHMS[name]
    body = {"model": f"{name}-{kind}", "support": {"inputs": INPUTS, "targets": TARGETS[kind]}}
    for field, value, refused in (
        ("steps", 2, algorithm.closed_form),
        ("learning_rate", 0.01, algorithm.closed_form or algorithm.learned_rate),
    ):
        response = client.post("/adapt", json=body | {field: value})
        assert response.status_code == (422 if refused else 201), response.text
        if refused:
            assert response.json()["place"] == field


def test_the_std_follows_the_examples(client: TestClient) -> None:
    """The std grows away from the examples, and shrinks with more of them."""
    support = {"inputs": INPUTS, "targets": TARGETS["regression"]}
    body = {"model": "alpaca-regression", "support": support, "queries": [[0.1, 0.2], [50, -80]]}
    std = np.array(client.post("/predict", json=body).json()["std"])
    assert std.shape == (2, 2)
    assert (std > 0).all()
    assert (std[1] > std[0]).all()
    twice = {key: support[key] * 2 for key in support}
    assert (np.array(client.post("/predict", json=body | {"support": twice}).json()["std"]) < std).all()
    initial = client.post("/predict", json={"model": "alpaca-regression", "queries": [[0.1, 0.2]]}).json()
    assert (np.array(initial["std"]) > std[:1]).all()
