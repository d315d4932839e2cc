"""Training an ensemble on a table, in stages that are kept."""

import platform
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

import app
from app.bundles.bundle import Bundle
from app.bundles.manifest import Bounds, FamilySpec, Manifest
from app.families.table import Table
from app.learn.algorithms import ALGORITHMS
from app.learn.calibration_table import Calibration
from app.learn.ensemble_head import SIZES
from app.learn.target_scale import TargetSpec
from app.training.calibration import LEVELS
from app.training.family_and_network import encoder_of, fit_network, schema_of
from app.training.tables.ensemble.fit import FittedEnsemble, fit
from app.training.tables.kept_stages import KeptStages
from app.training.tables.prepare_family import options_of
from app.training.tables.stage_progress import stage_progress
from app.training.tables.table_settings import ENSEMBLE, TableSettings
from app.training.target_statistics import learn_targets

MAX_CALIBRATED = 20
"""Known rows. Intervals after more have as many standard deviations."""


def train_ensemble(settings: TableSettings, table: Table, folder: Path, console: Console, machine: str) -> Bundle:
    """The bundle of a fitted ensemble, not evaluated yet. Stages that are in `folder` are not run again."""
    kept = KeptStages(folder / "stages")
    if len(kept):
        console.print(f"continuing after {len(kept)} finished stages")
    with stage_progress(console, "training") as report:
        fitted = fit(
            table.prepared.tasks("training"),
            support_sizes=settings.support,
            ordered=bool(table.order),
            seed=settings.seed,
            progress=lambda progress: report(*progress),
            kept=kept,
        )
    return ensemble_bundle(fitted, settings, table, training_record(settings, table, kept.seconds, machine))


def ensemble_bundle(fitted: FittedEnsemble, settings: TableSettings, table: Table, training: dict[str, Any]) -> Bundle:
    """A bundle without evaluation."""
    schema, algorithm = schema_of(table), ALGORITHMS[ENSEMBLE]
    _, width = fit_network(fitted.network, algorithm, schema, table.kind)
    encoder, arrays = encoder_of(table)
    ranges = learn_targets(table, max(settings.support), scale=False)
    assert ranges is not None, "a table names its target"
    targets = TargetSpec(ranges.names, ranges.units, ranges.low, ranges.high, fitted.scale)
    manifest = Manifest(
        family=FamilySpec("table", options_of(table)),
        network=fitted.network,
        algorithm=ENSEMBLE,
        kind=table.kind,
        schema=schema,
        inner_loop=Bounds(1, 1, 0.01, 0.01),
        initial_loss=0.0,
        weights_sha256="",
        evaluation={},
        training=training,
        encoder=encoder,
        calibration=calibration_of(fitted, settings.seed),
        meanings=None,
        targets=targets,
    )
    return Bundle(settings.bundle, manifest, fitted.meta, width, arrays)


def calibration_of(fitted: FittedEnsemble, seed: int) -> Calibration:
    """The intervals by number of known rows, up to the largest that training tasks are usually long enough for."""
    shots = [size for size in SIZES if size <= MAX_CALIBRATED]
    widths = tuple((tuple(each),) for each in fitted.widths[: len(shots)])
    return Calibration(fitted.tasks, seed, tuple(shots), LEVELS, widths, relative=True)


def training_record(settings: TableSettings, table: Table, seconds: float, machine: str) -> dict[str, Any]:
    """How the bundle was trained, for bundle.json. seconds: of all sessions, if it was interrupted"""
    return {
        "recipe": {
            "family": "table",
            "family_options": options_of(table),
            "algorithm": ENSEMBLE,
            "seed": settings.seed,
            "evaluation_shots": list(settings.support),
        },
        "command": settings.command,
        "table": table.prepared.fingerprint,
        "seconds": round(seconds, 1),
        "machine": machine,
        "device": "cpu",
        "versions": {"innerloop": app.__version__, "torch": torch.__version__, "python": platform.python_version()},
    }
