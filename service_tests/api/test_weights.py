"""GET /adaptations/{id}/weights: the adapted network, for use without the server."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from safetensors import safe_open
from safetensors.torch import load

from app.learn.networks import build
from service_tests.api.requests import QUERIES, adapt, assert_same, examples, predictions


def network_outputs(models_dir: Path, name: str, content: bytes) -> np.ndarray:
    """The outputs of the bundle's network with the parameters of a weights file."""
    network = json.loads((models_dir / name / "bundle.json").read_text())["network"]
    queries = torch.tensor(QUERIES)
    outputs: torch.Tensor = torch.func.functional_call(build(**network), load(content), (queries,))
    return outputs.numpy()


@pytest.mark.parametrize("name", ["sinusoid", "linear"])
def test_the_network_with_the_weights_of_the_file_predicts_the_same(
    client: TestClient, models_dir: Path, name: str
) -> None:
    adaptation_id = adapt(client, examples(6), model=name, learning_rate=0.001)["adaptation_id"]
    for _ in range(2):
        response = client.get(f"/adaptations/{adaptation_id}/weights")
        assert response.status_code == 200
        assert_same(network_outputs(models_dir, name, response.content), predictions(client, adaptation_id))
        client.post(f"/adaptations/{adaptation_id}/support", json=examples(3, seed=1))


def test_the_file_names_its_adaptation_revision_and_digest(client: TestClient, tmp_path: Path) -> None:
    adaptation = adapt(client)
    adaptation_id = adaptation["adaptation_id"]
    client.post(f"/adaptations/{adaptation_id}/support", json=examples(3))
    response = client.get(f"/adaptations/{adaptation_id}/weights")
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["content-disposition"] == f'attachment; filename="{adaptation_id}.safetensors"'
    (tmp_path / "weights").write_bytes(response.content)
    with safe_open(tmp_path / "weights", "pt") as file:
        assert file.metadata() == {
            "adaptation_id": adaptation_id,
            "revision": "2",
            "model_digest": adaptation["model_digest"],
        }


def test_an_unknown_id_gets_404(client: TestClient) -> None:
    assert client.get("/adaptations/nothing/weights").status_code == 404
