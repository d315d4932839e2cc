"""The section of a card that compares a model with the baselines."""

import math
from collections.abc import Sequence
from typing import Any

from app.learn.significance import Interval
from app.training.tables.comparison import Comparison
from app.training.tables.verdict import known_rows, verdict, worth_serving

WINS = "**"
"""Around the figure of a baseline that is better than the model, beyond chance."""


def comparison_section(comparison: Comparison) -> str:
    """The verdict, then `comparison_tables`."""
    return f"{verdict(comparison)}\n\n{comparison_tables(comparison)}"


def comparison_tables(comparison: Comparison) -> str:
    """The errors of the model and of all baselines, and their 90 % intervals, in Markdown."""
    parts = [protocol_text(comparison), errors_table(comparison), wins_text(comparison)]
    if not comparison.protocol.labels:
        parts += [_INTERVALS, intervals_table(comparison)]
    return "\n\n".join(parts)


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """What bundle.json keeps of a comparison, and its card shows: plain JSON values."""
    sizes = _sizes(comparison)
    names = (comparison.model, *comparison.baselines)
    return {
        "worth_serving": worth_serving(comparison),
        "verdict": verdict(comparison),
        "known_rows": sizes,
        "tasks": len(comparison.tasks),
        "chosen": [comparison.best_baseline(size) for size in sizes],
        "errors": {name: [_numbers(comparison.error(name, size)) for size in sizes] for name in names},
        "differences": [_numbers(comparison.difference(size)) for size in sizes],
        "text": comparison_section(comparison),
    }


def protocol_text(comparison: Comparison) -> str:
    """How the figures were measured."""
    protocol = comparison.protocol
    if protocol.ordered:
        known = "The first rows of a task are known, and later ones are predicted"
    else:
        known = f"Known rows are drawn {protocol.draws} times, and the other rows of the task are predicted"
    error = "Mean squared error divided by the variance of the targets of training tasks"
    if protocol.labels:
        error = "Share of wrong labels"
    return (
        f"{error}, mean over {len(comparison.tasks):,} held-out tasks, ± the 95 % interval over tasks. {known}. Each "
        "column leaves out tasks that have no row left to predict. In brackets: how much larger the error is than that "
        "of the model. `*` marks the baseline that validation chooses without the held-out tasks. Bold marks a "
        "baseline that is better than the model beyond chance, paired by task."
    )


def errors_table(comparison: Comparison) -> str:
    """A row for the model and for each baseline, a column for each number of known rows."""
    rows = [[comparison.model, *(_figure(comparison.error(comparison.model, size)) for size in _sizes(comparison))]]
    rows += [
        [name, *(_baseline_cell(comparison, name, size) for size in _sizes(comparison))]
        for name in comparison.baselines
    ]
    return _markdown(["known rows", *map(str, _sizes(comparison))], rows)


def wins_text(comparison: Comparison) -> str:
    """Where a baseline is better than the model, in a sentence."""
    wins = [
        f"{name} with {known_rows(sizes, 'and')}"
        for name in comparison.baselines
        if (sizes := [size for size in _sizes(comparison) if baseline_wins(comparison, name, size)])
    ]
    if not wins:
        return "No baseline is better than the model beyond chance."
    return f"Better than the model beyond chance: {'; '.join(wins)}."


def baseline_wins(comparison: Comparison, name: str, size: int) -> bool:
    """Whether the 95 % interval of the paired difference says that the baseline is better."""
    difference = comparison.difference(size, name)
    return difference.mean - difference.half_width > 0


_INTERVALS = (
    "90 % intervals: the share of the held-out rows inside, ± the 95 % interval over tasks, and in brackets the "
    "interval score: the width plus 20 times the distance of the rows outside, in standard deviations of the targets. "
    "Smaller is better."
)


def intervals_table(comparison: Comparison) -> str:
    """Coverage and interval scores of all that have variances."""
    sizes, rows = _sizes(comparison), []
    for name in (comparison.model, *comparison.baselines):
        cells = [_interval_cell(comparison, name, size) for size in sizes]
        if any(cells):
            rows.append([name, *cells])
    return _markdown(["known rows", *map(str, sizes)], rows)


def _numbers(interval: Interval) -> list[float | None]:
    """The mean and the half width; None for what is not known."""
    return [round(value, 6) if math.isfinite(value) else None for value in interval]


def _sizes(comparison: Comparison) -> list[int]:
    """Those that some held-out task has enough rows for."""
    sizes = comparison.protocol.sizes
    return [size for size in sizes if not math.isnan(comparison.error(comparison.model, size).mean)]


def _baseline_cell(comparison: Comparison, name: str, size: int) -> str:
    error, model = comparison.error(name, size), comparison.error(comparison.model, size)
    mark = "*" if name == comparison.best_baseline(size) else ""
    larger = round((error.mean / model.mean - 1) * 100, 0) + 0.0 if model.mean else 0.0  # 0.0 for -0.0
    ratio = f" ({larger:+.0f} %)" if model.mean else ""
    bold = WINS if baseline_wins(comparison, name, size) else ""
    return f"{bold}{_figure(error)}{bold}{mark and ' `*`'}{ratio}"


def _interval_cell(comparison: Comparison, name: str, size: int) -> str:
    coverage, score = comparison.coverage(name, size), comparison.interval_score(name, size)
    if math.isnan(coverage.mean):
        return ""
    return f"{coverage.mean * 100:.1f} ± {coverage.half_width * 100:.1f} % ({score.mean:.3f})"


def _figure(interval: Interval) -> str:
    digits = 4 if interval.mean < 0.1 else 3
    return f"{interval.mean:.{digits}f} ± {interval.half_width:.{digits}f}"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(each) + " |" for each in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])
