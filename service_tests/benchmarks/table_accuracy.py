"""How well does a model on a table predict the rows of a new task, beside what a statistician would do?

The protocol of `app.training.tables.comparison`: each task is held out once, in 5 folds, and 0 to 20 of its rows are
known. `--order` makes it a forecast: the first rows are known, and later ones are predicted.

    pip install 'innerloop-server[bench]'
    python -m service_tests.benchmarks.table_accuracy --data FOLDER [--order]
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from app.families.table_rows import TaskRows
from app.learn.significance import Interval
from app.training.tables.baselines.all_baselines import all_baselines
from app.training.tables.comparison import Comparison, compare
from app.training.tables.comparison_text import baseline_wins, comparison_section
from app.training.tables.ensemble.fit import FittedEnsemble, fit
from app.training.tables.ensemble.predictor import predictor
from app.training.tables.protocol import Protocol, folds
from app.training.tables.regressor import Prediction
from app.training.tables.verdict import verdict
from service_tests.benchmarks.named_tables import TABLES
from service_tests.benchmarks.report import write

FOLDS = 5
MODEL = "ensemble"


@dataclass(frozen=True)
class FittedOurs:
    """A fitted ensemble, as it is served."""

    fitted: FittedEnsemble

    def predict(self, support_inputs: np.ndarray, support_targets: np.ndarray, query_inputs: np.ndarray) -> Prediction:
        """See `FittedRegressor.predict`."""
        return Prediction(*predictor(self.fitted)(support_inputs, support_targets, query_inputs))


@dataclass(frozen=True)
class Ours:
    """The ensemble that `innerloop train --table` fits."""

    ordered: bool
    name: str = MODEL

    def fit(self, tasks: Sequence[TaskRows]) -> FittedOurs:
        """See `Regressor.fit`."""
        return FittedOurs(fit(tasks, ordered=self.ordered))


def summary_rows(table: str, comparison: Comparison) -> list[dict[str, Any]]:
    """A row for each number of known rows: the model and the baseline that validation chooses."""
    rows = []
    for size in comparison.protocol.sizes:
        error, chosen, ahead = (
            comparison.error(comparison.model, size),
            comparison.chosen_error(size),
            comparison.difference(size),
        )
        coverage, score = comparison.coverage(comparison.model, size), comparison.interval_score(comparison.model, size)
        row = {
            "table": table,
            "known_rows": size,
            "tasks": int(np.isfinite(comparison.errors_of(comparison.model, size)).sum()),
            "error": error.mean,
            "error_95": error.half_width,
            "baseline": comparison.best_baseline(size),
            "baseline_error": chosen.mean,
            "difference_percent": 100 * ahead.mean / chosen.mean,
            "difference_percent_95": 100 * ahead.half_width / chosen.mean,
            "coverage_90": coverage.mean,
            "coverage_90_95": coverage.half_width,
            "interval_score": score.mean,
            "mixed_model_interval_score": comparison.interval_score("mixed model", size).mean,
        }
        rows.append({key: _plain(value) for key, value in row.items()})
    return rows


def all_figures(comparison: Comparison) -> dict[str, Any]:
    """Of the model and of every baseline: error, coverage and interval score by the number of known rows, seconds."""
    return {
        name: {
            "errors": [_pair(comparison.error(name, size)) for size in comparison.protocol.sizes],
            "model_minus_this": [_pair(comparison.difference(size, name)) for size in comparison.protocol.sizes],
            "wins": [size for size in comparison.protocol.sizes if baseline_wins(comparison, name, size)],
            "coverage_90": [_pair(comparison.coverage(name, size)) for size in comparison.protocol.sizes],
            "interval_scores": [
                _plain(comparison.interval_score(name, size).mean) for size in comparison.protocol.sizes
            ],
            "seconds": round(comparison.seconds[name], 1),
        }
        for name in (comparison.model, *comparison.baselines)
    }


def _pair(interval: Interval) -> list[Any]:
    """The mean and the half width of its 95 % interval."""
    return [_plain(value) for value in interval]


def _plain(value: Any) -> Any:
    """Rounded; None for what is not known."""
    if isinstance(value, float):
        return round(value, 5) if np.isfinite(value) else None
    return value


def main(
    data: Annotated[Path, typer.Option(help="Folder of the data sets (service_tests/benchmarks/named_tables.py).")],
    order: Annotated[bool, typer.Option("--order", help="Forecast later rows from the first.")] = False,
    tables: Annotated[str, typer.Option(help="Names of tables, separated by commas.")] = ",".join(TABLES),
    keep: Annotated[bool, typer.Option(help="Write the results.")] = True,
) -> None:
    """Measure, and write the results."""
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    figures: dict[str, Any] = {}
    for name in tables.split(","):
        table = TABLES[name]
        if order and not table.order:
            continue
        splits = folds(table.tasks(data, ordered=order), FOLDS)
        protocol = Protocol(ordered=order)
        comparison = compare(Ours(order), all_baselines(ordered=order), splits, protocol, progress=_say)
        print(f"\n# {name}{', forecast' if order else ''}\n\n{comparison_section(comparison)}\n", flush=True)
        rows += summary_rows(name, comparison)
        figures[name] = {"verdict": verdict(comparison), "regressors": all_figures(comparison)}
    question = "Squared error over the variance of the targets, of rows of held-out tasks, after 0 to 20 rows"
    write("table_accuracy_order" if order else "table_accuracy", question, rows, keep=keep, tables=figures)


def _say(text: str) -> None:
    print(f"  {text}", flush=True)


if __name__ == "__main__":
    typer.run(main)
