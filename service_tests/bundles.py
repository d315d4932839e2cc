"""Small bundles for tests. They are untrained: heads that are solved in closed form need no training."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.bundles.folder import write
from app.bundles.manifest import Bounds, FamilySpec, Manifest
from app.bundles.schema import Schema
from app.encoders.encoder import Encoder
from app.encoders.registry import fit
from app.encoders.spec import EncoderSpec
from app.families.registry import make
from app.learn.algorithms import ALGORITHMS
from app.learn.calibration_table import Calibration
from app.learn.decision_weights import Weighing
from app.learn.networks import NetworkSpec, build, initialize, width
from app.learn.policies import Actions
from app.learn.target_scale import TargetSpec
from app.training.family_and_network import schema_of
from service_tests.encoders.cases import PATIENTS, TABLE


def write_bundle(
    folder: Path,
    family: str,
    algorithm: str,
    network: NetworkSpec,
    *,
    options: Mapping[str, Any] | None = None,
    steps: int = 5,
    rate: float = 0.1,
    calibration: Calibration | None = None,
) -> None:
    """Write a bundle with untrained parameters for a family. `steps` and `rate` are its inner-loop defaults."""
    problem, composed = make(family, options or {}), ALGORITHMS[algorithm]
    steps = 1 if composed.closed_form else steps
    module = build(network.name, network.options)
    params = initialize(network.name, network.options, seed=0)
    meta = composed.initial_meta(module, params, problem.targets, width(module, problem.features), rate, steps)
    manifest = Manifest(
        family=FamilySpec(family, options or {}),
        network=network,
        algorithm=algorithm,
        kind=problem.kind,
        schema=schema_of(problem),
        inner_loop=Bounds(steps, 1 if composed.closed_form else 50, rate, rate),
        initial_loss=1.0,
        weights_sha256="",
        evaluation={},
        training={},
        calibration=calibration or Calibration(),
    )
    write(folder, manifest, meta)


def write_policies(folder: Path, seed: int = 0) -> None:
    """Write untrained policies for 2 features: `names` (3 actions), `box` (2 numbers), `paced` (learned rates)."""
    box, weighing = Actions((-1.0, -0.5), (1.0, 0.5)), Weighing(discount=0.9)
    gaussian = NetworkSpec("gaussian_mlp", {"inputs": 2, "actions": 2, "hidden": [8]})
    logits = NetworkSpec("mlp", {"inputs": 2, "outputs": 3, "hidden": [8], "activation": "tanh"})
    discrete = Schema(2, 3, actions=Actions(), weighing=weighing)
    write_policy(folder / "names", "maml", logits, discrete, 0.5, seed)
    write_policy(folder / "box", "maml", gaussian, Schema(2, 2, actions=box, weighing=weighing), 0.05, seed)
    write_policy(folder / "paced", "mamlpp", logits, discrete, 0.5, seed)


def write_policy(folder: Path, algorithm: str, network: NetworkSpec, schema: Schema, rate: float, seed: int) -> None:
    """Write an untrained policy that by default takes 2 steps a stage at this rate."""
    composed, module = ALGORITHMS[algorithm], build(network.name, network.options)
    params = initialize(network.name, network.options, seed)
    manifest = Manifest(
        family=None,
        network=network,
        algorithm=algorithm,
        kind="decision",
        schema=schema,
        inner_loop=Bounds(2, 10, rate, 1.0),
        initial_loss=1.0,
        weights_sha256="",
        evaluation={},
        training={},
    )
    write(
        folder, manifest, composed.initial_meta(module, params, schema.targets, width(module, schema.features), rate, 2)
    )


def write_table_bundle(folder: Path, kind: str = "regression") -> None:
    """Write an untrained bundle of `service_tests.encoders.cases.PATIENTS`, with numbers or labels for targets."""
    write_encoder_bundle(folder, fit("table", PATIENTS, TABLE), kind)


def write_tables(folder: Path) -> None:
    """Write untrained bundles of a table: `wards` predicts a number, `risks` one of 3 labels."""
    write_table_bundle(folder / "wards")
    write_table_bundle(folder / "risks", kind="classification")


def write_encoder_bundle(
    folder: Path, encoder: Encoder, kind: str = "regression", seed: int = 0, target_names: Sequence[str] | None = None
) -> None:
    """Write an untrained bundle with this encoder, with one number or up to 3 labels for targets.

    target_names: of 2 numbers instead; empty for 2 that have none
    """
    columns = 1 if target_names is None else 2
    features, targets = math.prod(encoder.feature_shape), columns if kind == "regression" else 3
    network = NetworkSpec("mlp", {"inputs": features, "outputs": targets, "hidden": [8]})
    manifest = Manifest(
        family=None,
        network=network,
        algorithm="maml",
        kind=kind,
        schema=Schema(features, targets),
        inner_loop=Bounds(5, 50, 0.1, 0.1),
        initial_loss=1.0,
        weights_sha256="",
        evaluation={},
        training={},
        encoder=EncoderSpec.of(encoder),
        targets=TargetSpec(tuple(target_names)) if target_names else None,
    )
    write(folder, manifest, initialize(network.name, network.options, seed), encoder.arrays())
