"""How much of the target a single column explains: one that explains nearly all may be computed from it."""

from typing import NamedTuple

import numpy as np

from app.families.tables.column_data import ColumnData

BINS = 50
FEW_ROWS_LEAK = 0.9999
"""In fewer than 2 * BINS rows, a line has to explain this share."""
MIN_ROWS = 10
"""Of which leaks are looked for at all."""
WITHIN = " within a task"


class Explained(NamedTuple):
    """The share of the variance of the targets that a column explains.

    where: ` within a task` if it is that of what is left of the targets without the mean of their task, else empty
    """

    share: float
    where: str = ""


def explained(data: ColumnData, targets: np.ndarray, rows: np.ndarray, codes: np.ndarray) -> Explained:
    """The share over all rows, or the one of a line within each task where that is larger.

    codes: the task of each of the rows
    """
    rows, codes = (part[~data.missing[rows]] for part in (rows, codes))
    target = targets[rows]
    if len(rows) < MIN_ROWS or np.ptp(target) == 0:
        return Explained(0.0)
    if data.type != "number":
        groups = np.unique([str(value) for value in data.values[rows]], return_inverse=True)[1]
        return Explained(_between(target, groups) if groups.max() < len(rows) / BINS else 0.0)
    values = data.values[rows]
    overall, within = _line(values, target), _line(_centred(values, codes), _centred(target, codes))
    if len(rows) < 2 * BINS:
        overall, within = (line if line > FEW_ROWS_LEAK else 0.0 for line in (overall, within))
    else:
        edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
        overall = max(overall, _between(target, np.searchsorted(edges, values)))
    return Explained(within, WITHIN) if within > overall else Explained(overall)


def _line(values: np.ndarray, target: np.ndarray) -> float:
    if np.ptp(values) == 0 or np.ptp(target) == 0:
        return 0.0
    return float(np.corrcoef(values, target)[0, 1] ** 2)


def _centred(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    counts = np.bincount(groups)
    centred: np.ndarray = values - (np.bincount(groups, values) / np.maximum(counts, 1))[groups]
    return centred


def _between(target: np.ndarray, groups: np.ndarray) -> float:
    """The share of the variance that lies between groups."""
    return float(1 - (_centred(target, groups) ** 2).mean() / target.var())
