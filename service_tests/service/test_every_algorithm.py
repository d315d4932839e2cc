"""Every algorithm, written as a bundle, loaded and served: in a batch as alone."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch

from app.bundles.folder import load, write
from app.bundles.manifest import Bounds, FamilySpec, Manifest
from app.bundles.schema import Schema
from app.families.registry import make
from app.learn.algorithms import ALGORITHMS
from app.learn.networks import NetworkSpec, build, initialize, width
from app.service.model import Model
from app.service.task import Task
from service_tests.device import DEVICE
from service_tests.learn.problem import CASES

FAMILIES = {"classification": "blobs", "regression": "linear"}
ROWS = [(name, kind) for name, kind in CASES if kind in FAMILIES]
"""Decisions have episodes instead of rows, and tests of their own."""


def model_of(
    folder: Path,
    name: str,
    kind: str,
    network: NetworkSpec | None = None,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> Model:
    """A fresh initialization, on a device. network: instead of a small perceptron; options: of the family."""
    family, algorithm = make(FAMILIES[kind], options), ALGORITHMS[name]
    outputs = 6 if algorithm.embeds else family.targets
    network = network or NetworkSpec(
        "context_mlp" if name == "cavia" else "mlp", {"inputs": family.features, "outputs": outputs, "hidden": [8]}
    )
    steps = 1 if algorithm.closed_form else 3
    manifest = Manifest(
        family=FamilySpec(FAMILIES[kind], dict(options)),
        network=network,
        algorithm=name,
        kind=kind,
        schema=Schema(family.features, family.targets),
        inner_loop=Bounds(steps, steps, 0.01, 0.01),
        initial_loss=1.0,
        weights_sha256="",
        evaluation={},
        training={},
    )
    form = build(network.name, network.options)
    sizes = family.targets, width(form, family.features)
    params = initialize(network.name, network.options, seed=0)
    write(folder, manifest, algorithm.initial_meta(form, params, *sizes, 0.01, steps))
    return Model(load(folder), DEVICE)


@pytest.mark.parametrize(("name", "kind"), ROWS)
def test_a_bundle_of_every_algorithm_serves(tmp_path: Path, name: str, kind: str) -> None:
    check(model_of(tmp_path, name, kind), kind)


@pytest.mark.parametrize("name", ["protonet", "foprotomaml", "metasgd"])
def test_statistics_of_the_support_set_are_served(tmp_path: Path, name: str) -> None:
    options = {"side": 4, "filters": 3, "blocks": 1, "norm": "support"}
    outputs = {} if ALGORITHMS[name].embeds else {"outputs": 5}
    model = model_of(tmp_path, name, "classification", NetworkSpec("conv4", options | outputs), {"features": 16})
    check(model, "classification")
    inputs = np.random.default_rng(0).normal(size=(5, 16)).astype(np.float32)
    task = Task(inputs, np.array(list("ababa"), object), 1, 0.01)
    model = model.for_task(task)
    exported = model.parameters(model.adapt([task])[0])
    convolved = torch.nn.functional.conv2d(
        torch.from_numpy(inputs).reshape(5, 1, 4, 4),
        model.meta["1.weight"].cpu(),
        model.meta["1.bias"].cpu(),
        padding=1,
    )
    np.testing.assert_allclose(exported["2.mean"], convolved.mean((0, 2, 3)), rtol=1e-5, atol=1e-6)


def check(model: Model, kind: str) -> None:
    """That it answers a batch of tasks as it answers each alone."""
    bounds, schema = model.bundle.manifest.inner_loop, model.bundle.manifest.schema
    rng = np.random.default_rng(0)

    def task(shots: int) -> Task:
        inputs = rng.normal(size=(shots, schema.features)).astype(np.float32)
        labels = np.array([f"class {index % 3}" for index in range(shots)], object)
        numbers = rng.normal(size=(shots, schema.targets)).astype(np.float32)
        return Task(inputs, labels if kind == "classification" else numbers, bounds.steps, bounds.learning_rate)

    tasks = [task(shots) for shots in (3, 7, 4)]
    queries = [rng.normal(size=(count, schema.features)).astype(np.float32) for count in (2, 5, 1)]
    model = model.for_task(tasks[0])  # all have three classes, or none
    states, outcomes = model.adapt(tasks)
    together = model.predict(states, queries)
    for index, (each, query) in enumerate(zip(tasks, queries, strict=True)):
        state, (outcome,) = model.adapt([each])
        (alone,) = model.predict(state, [query])
        np.testing.assert_allclose(together[index], alone, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(outcomes[index].losses, outcome.losses, rtol=1e-5, atol=1e-5)
        assert outcome.status.usable
        assert len(outcome.losses) == bounds.steps + 1
