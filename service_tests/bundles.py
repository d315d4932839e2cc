"""Small untrained bundles for tests, made in a moment: heads that are solved in closed form need no training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.bundles import Bounds, FamilySpec, Manifest, Schema, write
from app.families.registry import make
from app.learn.algorithms import ALGORITHMS
from app.learn.calibration import Calibration
from app.learn.decision_weights import Weighing
from app.learn.networks import NetworkSpec, build, initialize, width
from app.learn.policies import Actions
from app.training.problem import schema_of


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
    """Write a bundle of fresh parameters for a family; steps, rate: the defaults of the inner loop."""
    problem, composed = make(family, options or {}), ALGORITHMS[algorithm]
    steps = 1 if composed.closed_form else steps
    form = build(network.name, network.options)
    params = initialize(network.name, network.options, seed=0)
    meta = composed.initial_meta(form, params, problem.targets, width(form, problem.features), rate, steps)
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
    """Fresh policies for 2 features: `names` for 3 actions, `box` for 2 numbers, `paced` at learned rates."""
    numbers, weighing = Actions((-1.0, -0.5), (1.0, 0.5)), Weighing(discount=0.9)
    gaussian = NetworkSpec("gaussian_mlp", {"inputs": 2, "actions": 2, "hidden": [8]})
    logits = NetworkSpec("mlp", {"inputs": 2, "outputs": 3, "hidden": [8], "activation": "tanh"})
    of_names = Schema(2, 3, actions=Actions(), weighing=weighing)
    write_policy(folder / "names", "maml", logits, of_names, 0.5, seed)
    write_policy(folder / "box", "maml", gaussian, Schema(2, 2, actions=numbers, weighing=weighing), 0.05, seed)
    write_policy(folder / "paced", "mamlpp", logits, of_names, 0.5, seed)


def write_policy(folder: Path, algorithm: str, network: NetworkSpec, schema: Schema, rate: float, seed: int) -> None:
    """Write a bundle of a fresh policy that takes 2 steps a stage by default, at that rate."""
    composed, form = ALGORITHMS[algorithm], build(network.name, network.options)
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
    write(folder, manifest, composed.initial_meta(form, params, schema.targets, width(form, schema.features), rate, 2))
