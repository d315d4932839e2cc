"""How well does a model on a table predict the rows of a new task, beside what a statistician would do?

The protocol of `app.training.tables.comparison`: each task is held out once, in 5 folds, and 0 to 20 of its rows are
known. `--order` makes it a forecast: the first rows are known, and later ones are predicted.

    pip install 'innerloop-server[bench]'
    python -m service_tests.benchmarks.table_accuracy --data FOLDER [--order]

It takes an hour or more. What is measured is kept as files: end it at any time, and start it again to go on.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from app.learn.significance import Interval
from app.training.tables.baselines.all_baselines import all_baselines
from app.training.tables.comparison import Comparison, compare
from app.training.tables.comparison_text import baseline_wins, comparison_section
from app.training.tables.held_out_rows import Protocol, folds
from app.training.tables.scores import TaskScores
from app.training.tables.verdict import verdict
from service_tests.benchmarks.kept_scores import KeptScores
from service_tests.benchmarks.named_tables import TABLES
from service_tests.benchmarks.report import write
from service_tests.benchmarks.table_models import ALPACA, Model

FOLDS = 5
MODEL, ALPACA_NAME = "ensemble", "ALPaCA"


def summary_rows(table: str, comparison: Comparison, alpaca: TaskScores) -> list[dict[str, Any]]:
    """A row for each number of known rows: the model and the baseline that validation chooses.

    alpaca: scores of the same tasks
    """
    rows = []
    others = replace(comparison, scores={**comparison.scores, ALPACA_NAME: alpaca})
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
            **{
                f"{name.lower().replace(' ', '_')}_{key}": value
                for name in (ALPACA_NAME, "mixed model")
                for key, value in (
                    ("coverage_90", others.coverage(name, size).mean),
                    ("interval_score", others.interval_score(name, size).mean),
                )
            },
        }
        rows.append({key: _plain(value) for key, value in row.items()})
    return rows


def all_figures(comparison: Comparison) -> dict[str, Any]:
    """Of the model and of every baseline: error, coverage and interval score by the number of known rows."""
    return {
        name: {
            "errors": [_pair(comparison.error(name, size)) for size in comparison.protocol.sizes],
            "model_minus_this": [_pair(comparison.difference(size, name)) for size in comparison.protocol.sizes],
            "wins": [size for size in comparison.protocol.sizes if baseline_wins(comparison, name, size)],
            "coverage_90": [_pair(comparison.coverage(name, size)) for size in comparison.protocol.sizes],
            "interval_scores": [
                _plain(comparison.interval_score(name, size).mean) for size in comparison.protocol.sizes
            ],
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
    kept: Annotated[Path, typer.Option(help="Folder of what is measured already.")] = Path("runs/table_accuracy"),
    keep: Annotated[bool, typer.Option(help="Write the results.")] = True,
) -> None:
    """Measure, and write the results."""
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    figures: dict[str, Any] = {}
    for name in tables.split(","):
        if order and not TABLES[name].order:
            continue
        comparison, alpaca = measured(name, data, kept / name, ordered=order)
        print(f"\n# {name}{', forecast' if order else ''}\n\n{comparison_section(comparison)}\n", flush=True)
        rows += summary_rows(name, comparison, alpaca)
        figures[name] = {"verdict": verdict(comparison), "regressors": all_figures(comparison)}
    question = "Squared error over the variance of the targets, of rows of held-out tasks, after 0 to 20 rows"
    write("table_accuracy_order" if order else "table_accuracy", question, rows, keep=keep, tables=figures)


def measured(name: str, data: Path, kept: Path, *, ordered: bool) -> tuple[Comparison, TaskScores]:
    """The comparison on a table, and the scores of ALPaCA. kept: the folder of what is measured already"""
    splits, protocol = folds(TABLES[name].tasks(data, ordered=ordered), FOLDS), Protocol(ordered=ordered)
    score = KeptScores(kept)
    model, alpaca = (
        Model(each, ordered, kept / "stages", kinds) for each, kinds in ((MODEL, None), (ALPACA_NAME, ALPACA))
    )
    comparison = compare(model, all_baselines(ordered=ordered), splits, protocol, progress=_say, score=score)
    parts = [score(alpaca, split.limited(), protocol).held_out for split in splits]
    return comparison, TaskScores.joined(parts)


def _say(text: str) -> None:
    print(f"  {text}", flush=True)


if __name__ == "__main__":
    typer.run(main)
