"""From a table to a bundle."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from app.bundles.bundle import Bundle
from app.bundles.folder import check_name
from app.bundles.manifest import Manifest
from app.device import describe
from app.errors import TrainingError, expectation
from app.families.table import Table
from app.families.tables.table_spec import TableSpec
from app.families.tables.table_summary import table_summary
from app.output_folder import check_folder
from app.training.family_and_network import find_algorithm
from app.training.optional_packages import LOG, PLOTS, TABLES, require
from app.training.print_text import print_text
from app.training.publish import training_record
from app.training.tables.destination import bundle_folder
from app.training.tables.prepare_family import make_table, usable_sizes
from app.training.tables.publish_table import publish_table
from app.training.tables.table_arguments import check_arguments
from app.training.tables.table_recipe import AUTO
from app.training.tables.table_settings import ENSEMBLE, SUPPORT, TableSettings
from app.training.tables.train_by_steps import train_by_steps

DEFAULTS = {"regression": ENSEMBLE, "classification": AUTO}
"""The algorithm of each kind, where none is named."""


def train_table(
    table: Path | str | Any,
    *,
    task: str,
    target: str,
    inputs: Sequence[str] = (),
    order: str = "",
    kind: str = "",
    categories: Sequence[str] = (),
    decimal: str = "",
    support: Sequence[int] = SUPPORT,
    algorithm: str = "",
    name: str = "",
    seed: int = 0,
    outer_steps: int | None = None,
    models_dir: Path | str = "models",
    runs_dir: Path | str = "runs",
    fresh: bool = False,
    console: Console | None = None,
) -> Manifest:
    """Train a model on a table of tasks and write it as a bundle, as `innerloop train --table` does.

        train_table(frame, task="patient", target="concentration (ng/mL)", name="pharmacokinetics")

    table: a file, a folder with a file for each task, or a DataFrame of pandas or polars
    task: the column that says whose row it is
    target: the column to predict
    inputs: the columns to predict it from; by default all others that can be used
    order: the column that sorts the rows of a task, for a forecast from the first rows
    kind: `regression` or `classification`; by default as the target looks
    categories: columns of numbers that are codes of categories
    decimal: `.` or `,`, where numbers could be read in two ways
    support: the numbers of known rows that the model is evaluated at
    algorithm, seed, outer_steps: as for `innerloop train`
    name: of the bundle; by default that of the file
    models_dir: where the bundle is written
    runs_dir: where interrupted training continues from
    fresh: start again instead
    console: what is understood and how far training is are printed to it (None: to nothing)

    Returns the manifest of the bundle.

    Raises DataError where the table cannot be read or used, and TrainingError where the other arguments do not fit.
    A folder that cannot be written to is an InnerloopError.
    """
    check_arguments(table, locals())
    check_folder("models_dir", Path(models_dir))
    check_folder("runs_dir", Path(runs_dir))
    spec = TableSpec(task, target, tuple(inputs), order, kind, tuple(categories), decimal)
    source = Path(table) if isinstance(table, str) else table
    settings = TableSettings(source, spec, tuple(sorted({*support})), algorithm, name, seed, outer_steps)
    return run_table(settings, Path(models_dir), Path(runs_dir), console or Console(quiet=True), fresh=fresh)


def run_table(
    settings: TableSettings, models_dir: Path, runs_dir: Path, console: Console, *, fresh: bool = False
) -> Manifest:
    """Read, train, evaluate, compare, write. Arguments as for `train_table`."""
    require(LOG, PLOTS)
    require(*TABLES, extra="tables")
    check_name(settings.bundle)
    machine, table = describe(torch.device("cpu")), make_table(settings)
    folder = bundle_folder(models_dir, settings.bundle, table.prepared.spec)
    if settings.outer_steps is not None and (settings.algorithm or DEFAULTS[table.kind]) == ENSEMBLE:
        expected, fix = "no number of outer steps for an ensemble", "leave it out, or name another --algorithm"
        raise TrainingError(expectation("--outer-steps", expected, settings.outer_steps, fix))
    if settings.algorithm not in ("", AUTO):
        find_algorithm(settings.algorithm, table.kind)
    original, settings = settings, replace(settings, support=usable_sizes(table, settings.support))
    print_text(console, table_summary(table.prepared, original.support))
    if settings.support != original.support:
        console.print(
            f"\nEvaluated with {', '.join(map(str, settings.support))} known rows, as most tasks have few rows."
        )
    run = runs_dir / settings.bundle / settings.run_name(table.prepared)
    if fresh:
        shutil.rmtree(run, ignore_errors=True)
    bundle = _trained(settings, table, run, console, machine)
    training = {**bundle.manifest.training, "command": original.command}
    bundle = replace(bundle, manifest=replace(bundle.manifest, training=training))
    manifest = publish_table(bundle, table, settings, folder, machine, console)
    shutil.rmtree(run, ignore_errors=True)
    with suppress(OSError):  # another run, or files of the user, are beside it
        run.parent.rmdir()
    return manifest


def _trained(settings: TableSettings, table: Table, folder: Path, console: Console, machine: str) -> Bundle:
    """A bundle that is not evaluated yet. folder: of what an interrupted training continues from"""
    if (settings.algorithm or DEFAULTS[table.kind]) == ENSEMBLE:
        from app.training.tables.train_ensemble import train_ensemble  # needs an extra

        return train_ensemble(settings, table, folder, console, machine)
    run, search = train_by_steps(settings, table, folder, console)
    bundle = run.as_bundle(settings.bundle)
    training = training_record(run, settings.command, machine, search)
    return replace(bundle, manifest=replace(bundle.manifest, training=training))
