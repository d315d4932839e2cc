"""Small bundles for tests, made in a moment and untrained: the heads that are solved need no training here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.bundles import Bounds, Manifest, Named, Schema, write
from app.families.registry import make
from app.learn.algorithms import ALGORITHMS
from app.learn.networks import build, initialize, width
from app.learn.trust import Trust


def write_bundle(
    folder: Path,
    family: str,
    algorithm: str,
    network: Named,
    *,
    options: Mapping[str, Any] | None = None,
    steps: int = 5,
    rate: float = 0.1,
    trust: Trust | None = None,
) -> None:
    """Write a bundle of fresh parameters for a family; steps, rate: the defaults of the inner loop."""
    made, composed = make(family, options or {}), ALGORITHMS[algorithm]
    steps = 1 if composed.closed_form else steps
    form = build(network.name, network.options)
    params = initialize(network.name, network.options, seed=0)
    meta = composed.initial(form, params, made.targets, width(form, made.features), rate, steps)
    manifest = Manifest(
        family=Named(family, options or {}),
        network=network,
        algorithm=algorithm,
        kind=made.kind,
        schema=Schema.of(made),
        inner_loop=Bounds(steps, 1 if composed.closed_form else 50, rate, rate),
        untouched_loss=1.0,
        weights_sha256="",
        evaluation={},
        training={},
        trust=trust or Trust(),
    )
    write(folder, manifest, meta)
