"""The bundle of a fitted ensemble."""

from pathlib import Path

from app.bundles.folder import write
from app.bundles.manifest import Bounds, Manifest
from app.bundles.schema import Schema
from app.learn.target_scale import TargetSpec
from app.training.tables.ensemble.fit import FittedEnsemble


def write_fitted(folder: Path, fitted: FittedEnsemble) -> None:
    """Write the bundle of an ensemble for 2 inputs, without calibration."""
    manifest = Manifest(
        family=None,
        network=fitted.network,
        algorithm="ensemble",
        kind="regression",
        schema=Schema(2, 1),
        inner_loop=Bounds(1, 1, 1.0, 1.0),
        initial_loss=1.0,
        weights_sha256="",
        evaluation={},
        training={},
        targets=TargetSpec(names=("y",), units=("",), scale=fitted.scale),
    )
    write(folder, manifest, fitted.meta)
