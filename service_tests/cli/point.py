"""A small policy of navigation for tests, made in a moment and untrained."""

from pathlib import Path

import torch

from app.bundles.folder import load, write
from app.learn.networks import NetworkSpec
from service_tests.bundles import write_bundle

NETWORK = NetworkSpec("gaussian_mlp", {"inputs": 2, "actions": 2, "hidden": [8], "deviation": 0.05})
MAX_STEPS = 6


def write_point(folder: Path) -> Path:
    """Write the bundle `point` into a folder of bundles; its factors differ by stage as learned ones do."""
    write_bundle(
        folder / "point", "navigation", "metasgdpp", NETWORK, options={"longest": MAX_STEPS}, steps=1, rate=0.01
    )
    bundle = load(folder / "point")
    for name, value in bundle.meta.items():
        if name.startswith("inner/factor/"):
            value.copy_(torch.tensor([0.1, -0.1, 0.0, 0.0]))
    write(folder / "point", bundle.manifest, bundle.meta)
    return folder
