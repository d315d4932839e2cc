"""`"interval"` in POST /predict: prediction intervals from the bundle's calibration."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from service_tests.api.requests import QUERIES, adapt, body, examples

WIDTHS = (((0.5, 1.0),), ((0.25, 0.5),))


@pytest.fixture
def client(serve: Callable[..., TestClient], own_models: Path) -> TestClient:
    """`sinusoid` is calibrated for 5 and 10 examples, `linear` is not calibrated."""
    from app.bundles.folder import load, write
    from app.learn.calibration_table import Calibration

    calibrated = Calibration(tasks=1, shots=(5, 10), levels=(0.8, 0.95), half_widths=WIDTHS)
    for name, calibration in (("sinusoid", calibrated), ("linear", Calibration())):
        old = load(own_models / name)
        write(own_models / name, dataclasses.replace(old.manifest, calibration=calibration), old.meta)
    return serve(models_dir=own_models)


def half_widths(client: TestClient, **fields: Any) -> tuple[np.ndarray, np.ndarray]:
    """The widths of the intervals in an answer, below and above the prediction."""
    response = client.post("/predict", json={"queries": QUERIES} | fields)
    assert response.status_code == 200, response.text
    predictions, lower, upper = (np.array(response.json()[key]) for key in ("predictions", "lower", "upper"))
    assert predictions.shape == lower.shape == upper.shape == (4, 1)
    return predictions - lower, upper - predictions


@pytest.mark.parametrize(
    ("shots", "level", "width"),
    [(5, 0.8, 0.5), (5, 0.95, 1.0), (10, 0.95, 0.5), (7, 0.8, None), (200, 0.8, 0.25), (5, 0.875, 0.75)],
)
def test_each_prediction_is_in_the_middle_of_its_interval(
    client: TestClient, shots: int, level: float, width: float | None
) -> None:
    adaptation = adapt(client, examples(shots))
    for source in ({"adaptation_id": adaptation["adaptation_id"]}, body(examples(shots))):
        below, above = half_widths(client, interval=level, **source)
        np.testing.assert_allclose(below, above, atol=1e-5)
        if width is None:
            assert (below > 0.25).all()
            assert (below < 0.5).all()
        else:
            np.testing.assert_allclose(below, width, rtol=1e-4)


def test_an_answer_has_no_interval_unless_one_is_requested(client: TestClient) -> None:
    answer = client.post("/predict", json=body(queries=QUERIES)).json()
    assert answer.keys() == {"predictions", "model", "model_digest", "losses", "status", "unlike"}
    models = {each["name"]: each for each in client.get("/models").json()["models"]}
    assert models["sinusoid"]["intervals"] == [0.8, 0.95]
    assert "intervals" not in models["linear"]


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"interval": 0.5}, "interval: expected 0.8 to 0.95 for sinusoid, got 0.5"),
        ({"interval": 0.96}, "interval: expected 0.8 to 0.95 for sinusoid, got 0.96"),
        ({"interval": 0.9500000001}, "interval: expected 0.8 to 0.95 for sinusoid, got 0.9500000001"),
        ({"interval": 99.99999999}, "expected a number below 1, got 99.99999999: for 99.99999999 % send 0.9999999999"),
        ({"interval": 0}, "expected a number above 0, got 0"),
        ({"interval": 1}, "expected a number below 1, got 1"),
        ({"interval": 90}, "interval: expected a number below 1, got 90: for 90 % send 0.9"),
        ({"interval": "0.9"}, "expected a number, got a string"),
        (
            {"interval": 0.9, "steps": 4},
            "expected an adaptation with steps 5, for which sinusoid is calibrated, got one with 4: adapt with",
        ),
        (
            {"interval": 0.9, "learning_rate": 0.001},
            "expected an adaptation with learning_rate 0.01, for which sinusoid is calibrated, got one with 0.001",
        ),
        (
            {"interval": 0.9, "learning_rate": 0.010000001},
            "learning_rate 0.01, for which sinusoid is calibrated, got one with 0.010000001: adapt with",
        ),
        (
            {"interval": 0.9, "support": examples(4)},
            "expected at least 5 support examples for an interval of sinusoid, got 4: send more",
        ),
        (
            {"interval": 0.9, "model": "linear"},
            "interval: linear has no calibration, so run `innerloop calibrate linear`, or leave interval out",
        ),
    ],
)
def test_an_interval_that_is_not_calibrated_is_refused(client: TestClient, fields: dict[str, Any], detail: str) -> None:
    response = client.post("/predict", json=body(queries=QUERIES) | fields)
    assert response.status_code == 422
    assert detail in response.json()["detail"]
    assert response.json()["place"] == "interval"


def test_the_initialization_has_no_intervals(client: TestClient) -> None:
    response = client.post("/predict", json={"model": "sinusoid", "queries": QUERIES, "interval": 0.9})
    assert response.status_code == 422
    assert response.json()["detail"] == (
        "interval: this needs a support set, so send support, run `innerloop calibrate sinusoid` again, or leave "
        "interval out"
    )


def test_an_adaptation_with_other_steps_has_no_interval(client: TestClient) -> None:
    adaptation = adapt(client, examples(10), steps=7)
    body = {"adaptation_id": adaptation["adaptation_id"], "queries": QUERIES, "interval": 0.9}
    response = client.post("/predict", json=body)
    assert (response.status_code, response.json()["place"]) == (422, "interval")


@pytest.mark.parametrize("name", ["sinusoid", "linear"])
@pytest.mark.parametrize("shots", [5, 10])
def test_intervals_of_shipped_bundles_cover_as_many_targets_as_they_promise(
    serve: Callable[..., TestClient], name: str, shots: int
) -> None:
    """Measured on the queries of 200 fresh tasks, a line for each in one request."""
    import torch

    from app.families.registry import make

    client, tasks = serve(), make(name, {}).sample(200, shots + 50, torch.Generator().manual_seed(shots))
    bodies = [
        {"model": name, "interval": 0.9, "queries": inputs[shots:]}
        | {"support": {"inputs": inputs[:shots], "targets": targets[:shots]}}
        for inputs, targets in zip(tasks.inputs.tolist(), tasks.targets.tolist(), strict=True)
    ]
    lines = "\n".join(map(json.dumps, bodies))
    response = client.post("/predict", content=lines, headers={"content-type": "application/x-ndjson"})
    answers = [json.loads(line) for line in response.text.splitlines()]
    lower, upper = (np.array([answer[end] for answer in answers], np.float64) for end in ("lower", "upper"))
    unlike = np.array([answer["unlike"] for answer in answers])
    np.testing.assert_array_equal(np.isnan(lower[..., 0]), unlike)
    assert unlike.mean() < 0.03
    targets = tasks.targets.numpy()[:, shots:]
    covered = ((targets >= lower) & (targets <= upper))[~unlike]
    assert 0.87 < covered.mean() < 0.93


@pytest.mark.parametrize("name", ["linear", "sinusoid-bayes"])
def test_a_calibrated_bundle_has_intervals_of_the_initialization(
    serve: Callable[..., TestClient], own_models: Path, name: str
) -> None:
    from app.bundles.folder import load, write

    shipped = load(own_models / name)
    calibration = shipped.manifest.calibration
    assert calibration.distances is not None
    assert calibration.stretch is not None
    older = dataclasses.replace(
        calibration,
        shots=calibration.shots[1:],
        half_widths=calibration.half_widths[1:],
        distances=calibration.distances[1:],
        stretch=calibration.stretch[1:],
    )
    write(own_models / name, dataclasses.replace(shipped.manifest, calibration=older), shipped.meta)
    near = [[query[0] / 5] for query in QUERIES]  # `linear` was trained on inputs from -1 to 1
    query: dict[str, Any] = {"model": name, "queries": near, "interval": 0.9}
    refused = serve(models_dir=own_models).post("/predict", json=query)
    assert refused.status_code == 422
    assert refused.json()["detail"].endswith(
        f"send support, run `innerloop calibrate {name}` again, or leave interval out"
    )
    write(own_models / name, shipped.manifest, shipped.meta)
    client = serve(models_dir=own_models)
    alone, above = half_widths(client, **query)
    np.testing.assert_allclose(alone, above, rtol=1e-4)
    np.testing.assert_allclose(alone, calibration.widths_for(0.9, 0)[0], rtol=1e-4)
    x = [[each[0] / 5] for each in examples(10)["inputs"]]
    adapted, _ = half_widths(client, **query, support={"inputs": x, "targets": [each[0] for each in x]})
    assert (adapted < alone).all()
