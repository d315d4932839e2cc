"""From a trained bundle to its folder: evaluated on held-out tasks, and compared with the baselines there."""

from pathlib import Path

from rich.console import Console

from app.bundles.bundle import Bundle
from app.bundles.manifest import Manifest
from app.families.table import Table
from app.families.tables.splits import FEW_TASKS
from app.training.card_example import with_example
from app.training.print_text import print_text
from app.training.publish import evaluated, publish
from app.training.tables.compare_bundle import compare_bundle, with_comparison
from app.training.tables.comparison import Comparison, Progress
from app.training.tables.comparison_text import comparison_tables
from app.training.tables.stage_progress import stage_progress
from app.training.tables.table_example import table_example
from app.training.tables.table_recipe import known_rows
from app.training.tables.table_settings import ENSEMBLE, TableSettings
from app.training.tables.verdict import verdict
from app.training.tasks import Setting


def publish_table(
    bundle: Bundle, table: Table, settings: TableSettings, folder: Path, machine: str, console: Console
) -> Manifest:
    """Evaluate, compare, write, and print the comparison with its verdict."""
    ways = None if table.kind == "regression" else table.targets
    sizes = [Setting(shots, ways) for shots in known_rows(table, settings.support)]
    with stage_progress(console, "evaluating") as report:
        report("calibration and held-out tasks", 0.0)
        bundle = evaluated(bundle, table, sizes, machine)
        comparison = _compared(bundle, table, settings, lambda text: report(text, 0.5))
        bundle = with_comparison(bundle, comparison)
    if table.kind == "regression":
        bundle = with_example(bundle, table_example(bundle, table))
    manifest = publish(bundle, table, folder)
    print_text(console, comparison_tables(comparison))
    print_text(console, f"\n{folder}: {verdict(comparison)}")
    return manifest


def _compared(bundle: Bundle, table: Table, settings: TableSettings, progress: Progress) -> Comparison:
    """On the test tasks; an ensemble of few tasks on all of them, by cross-validation."""
    if bundle.manifest.algorithm == ENSEMBLE and len(table.prepared.rows) < FEW_TASKS:
        from app.training.tables.compare_few_tasks import EnsembleRegressor, compare_few_tasks  # needs an extra

        model = EnsembleRegressor("this model", settings.support, bool(table.order), settings.seed)
        return compare_few_tasks(table, model, settings.support, progress)
    return compare_bundle(bundle, table, settings.support, progress)
