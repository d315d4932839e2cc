"""A bundle of a table beside the baselines, on the table's test tasks."""

from collections.abc import Sequence
from dataclasses import replace

from app.bundles.bundle import Bundle
from app.families.table import Table
from app.training.tables.baselines.all_baselines import all_baselines, label_baselines
from app.training.tables.bundle_regressor import BundleClassifier, BundleRegressor
from app.training.tables.comparison import Comparison, Progress, compare
from app.training.tables.comparison_text import comparison_json
from app.training.tables.held_out_rows import Protocol, Split


def compare_bundle(
    bundle: Bundle, table: Table, support: Sequence[int], progress: Progress = lambda text: None
) -> Comparison:
    """Fit the baselines on the training tasks, choose one on the validation tasks, and score all on the test tasks.

    support: the numbers of known rows; 0 is added for numbers, and left out for labels, which a bundle does not know
        without a support set
    """
    prepared, labels = table.prepared, table.kind == "classification"
    split = Split(prepared.tasks("training"), prepared.tasks("test"), prepared.tasks("validation"))
    sizes = sorted({*support} if labels else {0, *support})
    protocol = Protocol(sizes, ordered=bool(table.order), labels=labels)
    name = "this model"
    if labels:
        return compare(BundleClassifier(name, bundle), label_baselines(), [split], protocol, progress)
    return compare(BundleRegressor(name, bundle), all_baselines(ordered=protocol.ordered), [split], protocol, progress)


def with_comparison(bundle: Bundle, comparison: Comparison) -> Bundle:
    """The same bundle with the comparison in its evaluation, for its card."""
    evaluation = {**bundle.manifest.evaluation, "baselines": comparison_json(comparison)}
    return replace(bundle, manifest=replace(bundle.manifest, evaluation=evaluation))
