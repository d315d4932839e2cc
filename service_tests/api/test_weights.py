"""GET /adaptations/{id}/weights: the adapted network, to be used without the server."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from safetensors import safe_open
from safetensors.torch import load

from app.learn.networks import build
from service_tests.api.ask import QUERIES, adapt, assert_same, examples, predictions


def network_says(models_dir: Path, name: str, content: bytes) -> np.ndarray:
    """What the bundle's network answers with the parameters of a file."""
    network = json.loads((models_dir / name / "bundle.json").read_text())["network"]
    asked = torch.tensor(QUERIES)
    answer: torch.Tensor = torch.func.functional_call(build(**network), load(content), (asked,))
    return answer.numpy()


@pytest.mark.parametrize("name", ["sinusoid", "linear"])
def test_the_network_of_the_file_predicts_the_same(client: TestClient, models_dir: Path, name: str) -> None:
    it = adapt(client, examples(6), model=name, learning_rate=0.001)["adaptation_id"]
    for _ in range(2):
        response = client.get(f"/adaptations/{it}/weights")
        assert response.status_code == 200
        assert_same(network_says(models_dir, name, response.content), predictions(client, it))
        client.post(f"/adaptations/{it}/support", json=examples(3, seed=1))


def test_the_file_says_what_it_is_of(client: TestClient, tmp_path: Path) -> None:
    made = adapt(client)
    it = made["adaptation_id"]
    client.post(f"/adaptations/{it}/support", json=examples(3))
    response = client.get(f"/adaptations/{it}/weights")
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["content-disposition"] == f'attachment; filename="{it}.safetensors"'
    (tmp_path / "weights").write_bytes(response.content)
    with safe_open(tmp_path / "weights", "pt") as file:
        assert file.metadata() == {"adaptation_id": it, "revision": "2", "model_digest": made["model_digest"]}


def test_an_unknown_id(client: TestClient) -> None:
    assert client.get("/adaptations/nothing/weights").status_code == 404
