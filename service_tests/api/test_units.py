"""A bundle with a target scale answers in the user's units what the same network answers in standardised ones."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from safetensors import safe_open

from app.bundles.folder import load, write
from app.learn.calibration_table import Calibration
from app.learn.networks import NetworkSpec, build
from app.learn.support_ood import OODReference
from app.learn.target_scale import TargetScale, TargetSpec
from service_tests.api.requests import assert_same, get_support
from service_tests.bundles import write_bundle

MEAN, STD = np.array([600.0, -2e-3]), np.array([170.0, 1e-3])
INPUTS = [[-0.9], [-0.4], [0.1], [0.5], [0.8]]
STANDARDISED = np.array([[0.2, -1.0], [0.9, -0.7], [-0.4, 0.4], [0.1, 1.1], [1.3, 0.6]])
QUERIES = [[-0.7], [0.3]]
ALGORITHMS = {"maml": 1, "alpaca": 1, "mamlpp": 2}
"""Each with a number of targets."""


def write_pair(folder: Path, algorithm: str, targets: int) -> None:
    """Bundles with the same untrained network: `plain` predicts z, `scaled` predicts `z * STD + MEAN`."""
    closed_form = algorithm == "alpaca"
    options = {"inputs": 1, "outputs": 8 if closed_form else targets, "hidden": [16]}
    network, calibration = NetworkSpec("mlp", options), Calibration(1, 0, (5,), (0.5, 0.9), (((0.5, 1.0),) * targets,))
    write_bundle(
        folder / "plain", "linear", algorithm, network, options={"targets": targets}, rate=0.05, calibration=calibration
    )
    plain = load(folder / "plain")
    reference = OODReference(1, 0, (0.0,), (1.0,), 9.0, (1,), (1e3,))
    manifest = replace(plain.manifest, ood_reference=reference)
    write(folder / "plain", manifest, plain.meta)
    mean, std = (tuple(each[:targets].tolist()) for each in (MEAN, STD))
    names, units = ("temperature", "strain")[:targets], ("K", "")[:targets]
    widths = (tuple((0.5 * each, 1.0 * each) for each in std),)
    scaled = replace(
        manifest,
        targets=TargetSpec(names, units, mean, (900.0,) * targets, TargetScale(mean, std)),
        calibration=replace(calibration, half_widths=widths),
        initial_loss=float(np.mean(np.square(std))),
        ood_reference=replace(reference, error_limits=(1e3 * float(np.mean(np.square(std))),)),
    )
    write(folder / "scaled", scaled, plain.meta)


@pytest.fixture(params=sorted(ALGORITHMS.items()), ids=sorted(ALGORITHMS))
def pair(request: pytest.FixtureRequest, serve: Callable[..., TestClient], tmp_path: Path) -> "Pair":
    """A server with `plain` and `scaled`."""
    algorithm, targets = request.param
    write_pair(tmp_path / "models", algorithm, targets)
    return Pair(serve(models_dir=tmp_path / "models"), targets)


class Pair:
    """Sends the same request to both bundles, each in its units. mean, std: of the scale."""

    def __init__(self, client: TestClient, targets: int) -> None:
        self.client = client
        self.mean, self.std = MEAN[:targets], STD[:targets]

    def support(self, model: str, rows: slice = slice(None)) -> dict[str, Any]:
        targets = STANDARDISED[rows, : len(self.mean)]
        return {
            "inputs": INPUTS[rows],
            "targets": (targets * self.std + self.mean if model == "scaled" else targets).tolist(),
        }

    def post(self, path: str, **fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The answers of `plain` and of `scaled`."""
        answers = []
        for model in ("plain", "scaled"):
            response = self.client.post(path, json={"model": model, "support": self.support(model)} | fields)
            assert response.is_success, response.text
            answers.append(response.json())
        return answers[0], answers[1]

    def predict(self, adaptation: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
        body = {"adaptation_id": adaptation["adaptation_id"], "queries": QUERIES} | fields
        answer: dict[str, Any] = self.client.post("/predict", json=body).json()
        return answer

    def check(self, plain: Mapping[str, Any], scaled: Mapping[str, Any]) -> None:
        """The numbers of an answer to /predict are the same but for the units."""
        assert plain.keys() == scaled.keys()
        for key in ("predictions", "lower", "upper"):
            if key in plain:
                assert_same((np.array(scaled[key]) - self.mean) / self.std, np.array(plain[key]))
        if "std" in plain:
            assert_same(np.array(scaled["std"]) / self.std, np.array(plain["std"]))


def test_predictions_spread_and_intervals_are_in_the_users_units(pair: Pair) -> None:
    pair.check(*pair.post("/predict", queries=QUERIES, interval=0.9))
    plain, scaled = pair.post("/adapt")
    for options in ({}, {"interval": 0.9}, {"interval": 0.6}):
        pair.check(pair.predict(plain, **options), pair.predict(scaled, **options))
    initial = [{"model": model, "queries": QUERIES} for model in ("plain", "scaled")]
    pair.check(*(pair.client.post("/predict", json=body).json() for body in initial))


def test_losses_are_those_of_the_predictions_in_the_users_units(pair: Pair) -> None:
    plain, scaled = pair.post("/adapt")
    predictions = np.array(pair.predict(scaled, queries=INPUTS)["predictions"])
    errors = np.square(predictions - pair.support("scaled")["targets"])
    assert scaled["losses"][-1] == pytest.approx(errors.mean(), rel=1e-3)
    if len(pair.mean) == 1:
        np.testing.assert_allclose(scaled["losses"], np.array(plain["losses"]) * pair.std**2, rtol=1e-4)
    assert scaled["status"] == plain["status"]


def test_an_event_stream_has_the_same_losses(pair: Pair) -> None:
    _, scaled = pair.post("/adapt")
    body = {"model": "scaled", "support": pair.support("scaled")}
    with pair.client.stream("POST", "/adapt", json=body, headers={"Accept": "text/event-stream"}) as response:
        events = [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: ")]
    np.testing.assert_allclose([event["loss"] for event in events[:-1]], scaled["losses"], rtol=1e-5)
    assert events[-1]["losses"] == pytest.approx(scaled["losses"], rel=1e-5)


def test_an_assessment_has_errors_in_the_users_units(pair: Pair) -> None:
    plain, scaled = (each["quality"] for each in pair.post("/adapt", assess="leave_one_out"))
    assert (scaled["helped"], scaled["unlike_training"]) == (plain["helped"], plain["unlike_training"])
    if len(pair.mean) == 1:
        for key in ("error", "initial_error", "errors"):
            np.testing.assert_allclose(scaled[key], np.array(plain[key]) * pair.std**2, rtol=1e-4)


def test_revisions_keep_what_was_posted(pair: Pair) -> None:
    changed = []
    for model in ("plain", "scaled"):
        support = pair.support(model, slice(3))
        made = pair.client.post("/adapt", json={"model": model, "support": support}).json()
        more = pair.client.post(f"/adaptations/{made['adaptation_id']}/support", json=pair.support(model, slice(3, 5)))
        assert more.is_success, more.text
        kept = get_support(pair.client, made["adaptation_id"])
        np.testing.assert_array_equal(
            np.float32(kept["targets"]).ravel(), np.float32(pair.support(model)["targets"]).ravel()
        )
        changed.append(made)
        pair.client.delete(f"/adaptations/{made['adaptation_id']}/support/1")
    pair.check(pair.predict(changed[0]), pair.predict(changed[1]))


def test_a_model_describes_its_targets(pair: Pair) -> None:
    plain = pair.client.get("/models/plain").json()["target_columns"]
    names = ["target"] if len(pair.mean) == 1 else ["target_1", "target_2"]
    assert plain == [{"name": name, "type": "number", "unit": None} for name in names]
    columns = pair.client.get("/models/scaled").json()["target_columns"]
    first = {"name": "temperature", "type": "number", "unit": "K", "min": 600.0, "max": 900.0}
    second = {"name": "strain", "type": "number", "unit": None, "min": -0.002, "max": 900.0}
    assert columns == [first, second][: len(pair.mean)]


def test_a_file_of_weights_says_how_to_scale_the_outputs(serve: Callable[..., TestClient], tmp_path: Path) -> None:
    write_pair(tmp_path / "models", "mamlpp", 2)
    pair = Pair(serve(models_dir=tmp_path / "models"), 2)
    plain, scaled = pair.post("/adapt")
    (tmp_path / "weights").write_bytes(pair.client.get(f"/adaptations/{scaled['adaptation_id']}/weights").content)
    with safe_open(tmp_path / "weights", "pt") as file:
        about = file.metadata()
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    network = build("mlp", {"inputs": 1, "outputs": 2, "hidden": [16]})
    outputs = torch.func.functional_call(network, weights, (torch.tensor(QUERIES),)).detach().numpy()
    expected = outputs * json.loads(about["target_std"]) + json.loads(about["target_mean"])
    np.testing.assert_allclose(pair.predict(scaled)["predictions"], expected, rtol=1e-5)
    (tmp_path / "plain").write_bytes(pair.client.get(f"/adaptations/{plain['adaptation_id']}/weights").content)
    with safe_open(tmp_path / "plain", "pt") as file:
        assert file.metadata().keys() == {"adaptation_id", "revision", "model_digest"}


def test_a_target_far_beyond_the_scale_is_refused(pair: Pair) -> None:
    support = {"inputs": [[0.1]], "targets": [[3e38] * len(pair.mean)]}
    response = pair.client.post("/adapt", json={"model": "scaled", "support": support})
    assert response.status_code == 422
