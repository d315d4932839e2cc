"""A fixture: images with a number to tell, for a convolutional network, and a bundle of it that nobody has trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from app.bundles import Bounds, FamilySpec, Manifest, Schema, write
from app.families.family import Samples, Split
from app.learn.networks import NetworkSpec, initialize

SIDE = 28


@dataclass(frozen=True)
class Images:
    """Noise whose brightness, times a slope that is the task's own, is the target."""

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
    """Make `images` a family of whoever starts with the environment that is returned, as pip would a package's."""
    information = folder / "images-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: images\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
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
