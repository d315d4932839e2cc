"""A fixture: a regression from images for a convolutional network, and an untrained bundle of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from app.bundles.folder import write
from app.bundles.manifest import Bounds, FamilySpec, Manifest
from app.bundles.schema import Schema
from app.families.family import Samples, Split
from app.learn.networks import NetworkSpec, initialize

SIDE = 28


@dataclass(frozen=True)
class Images:
    """Images of noise; the target is their brightness times a slope, which differs between tasks."""

    kind = "regression"
    features = SIDE * SIDE
    targets = 1

    @property
    def network(self) -> NetworkSpec:
        """Four blocks of 64 filters."""
        return NetworkSpec("conv", {"outputs": 1, "side": SIDE})

    def sample(
        self,
        tasks: int,
        examples: int,
        generator: torch.Generator,
        ways: int | None = None,
        split: Split = "training",
    ) -> Samples:
        """Draw slopes and images."""
        brightness = torch.rand(tasks, examples, 1, generator=generator)
        inputs = brightness * torch.rand(tasks, examples, self.features, generator=generator)
        slope = 4 * torch.rand(tasks, 1, 1, generator=generator) - 2
        return Samples(inputs, slope * brightness)


def install(folder: Path) -> Mapping[str, str]:
    """Write the metadata of a package with the family `images`; return the environment in which it is installed."""
    metadata = folder / "images-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: images\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[innerloop.families]\nimages = service_tests.benchmarks.images:Images\n"
    )
    return {"PYTHONPATH": str(folder)}


def write_bundle(folder: Path, max_steps: int = 100) -> None:
    """Write a bundle with fresh parameters."""
    network = Images().network
    manifest = Manifest(
        family=FamilySpec("images"),
        network=network,
        algorithm="maml",
        kind="regression",
        schema=Schema(Images.features, Images.targets),
        inner_loop=Bounds(steps=5, max_steps=max_steps, learning_rate=0.01, max_learning_rate=1.0),
        initial_loss=1.0,
        weights_sha256="",
        evaluation={},
        training={},
    )
    write(folder, manifest, initialize(network.name, network.options, seed=0))
