"""Every algorithm, written as a bundle, loaded and served: in a batch as alone."""

from pathlib import Path

import numpy as np
import pytest
import torch

from app.bundles import Bounds, Manifest, Named, Schema, load, write
from app.families.registry import make
from app.learn.algorithms import ALGORITHMS
from app.learn.networks import build, initialize, width
from app.service.model import Model
from app.service.task import Task
from service_tests.learn.problem import CASES

FAMILIES = {"classification": "blobs", "regression": "linear"}


def model_of(folder: Path, name: str, kind: str) -> Model:
    """A fresh initialization, on a device."""
    family, algorithm = make(FAMILIES[kind], {}), ALGORITHMS[name]
    outputs = 6 if algorithm.embeds else family.targets
    network = Named(
        "context_mlp" if name == "cavia" else "mlp", {"inputs": family.features, "outputs": outputs, "hidden": [8]}
    )
    steps = 1 if algorithm.closed_form else 3
    manifest = Manifest(
        family=Named(FAMILIES[kind]),
        network=network,
        algorithm=name,
        kind=kind,
        schema=Schema(family.features, family.targets),
        inner_loop=Bounds(steps, steps, 0.01, 0.01),
        untouched_loss=1.0,
        weights_sha256="",
        evaluation={},
        training={},
    )
    form = build(network.name, network.options)
    sizes = family.targets, width(form, family.features)
    params = initialize(network.name, network.options, seed=0)
    write(folder, manifest, algorithm.initial(form, params, *sizes, 0.01, steps))
    return Model(load(folder), torch.device("cpu"))


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_bundle_of_every_algorithm_serves(tmp_path: Path, name: str, kind: str) -> None:
    model = model_of(tmp_path, name, kind)
    bounds, schema = model.bundle.manifest.inner_loop, model.bundle.manifest.schema
    drawn = np.random.default_rng(0)

    def task(shots: int) -> Task:
        inputs = drawn.normal(size=(shots, schema.features)).astype(np.float32)
        labels = np.array([f"class {index % 3}" for index in range(shots)], object)
        numbers = drawn.normal(size=(shots, schema.targets)).astype(np.float32)
        return Task(inputs, labels if kind == "classification" else numbers, bounds.steps, bounds.learning_rate)

    tasks = [task(shots) for shots in (3, 7, 4)]
    queries = [drawn.normal(size=(count, schema.features)).astype(np.float32) for count in (2, 5, 1)]
    model = model.of(tasks[0])  # all have three classes, or none
    states, outcomes = model.adapt(tasks)
    together = model.predict(states, queries)
    for index, (each, query) in enumerate(zip(tasks, queries, strict=True)):
        state, (outcome,) = model.adapt([each])
        (alone,) = model.predict(state, [query])
        np.testing.assert_allclose(together[index], alone, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(outcomes[index].losses, outcome.losses, rtol=1e-5, atol=1e-5)
        assert outcome.status.usable
        assert len(outcome.losses) == bounds.steps + 1
