"""The example request of a card: rows of a test task of the table, as people post them."""

import json
from typing import Any

import numpy as np

from app.bundles.bundle import Bundle
from app.families.table import Table
from app.families.task_rows import TaskRows
from app.training.card_example import Example
from app.training.tables.bundle_regressor import BundleRegressor

KNOWN, QUERIES = 3, 2
DIGITS = 5
"""Significant digits that are printed."""


def table_example(bundle: Bundle, table: Table) -> Example:
    """The first test task with enough rows: the first KNOWN rows are known, and the last QUERIES are predicted."""
    prepared = table.prepared
    rows = next(
        (prepared.rows[name] for name in prepared.splits["test"] if len(prepared.rows[name]) >= KNOWN + QUERIES),
        prepared.rows[prepared.splits["test"][0]],
    )
    posted = [
        {name: _rounded(value) if isinstance(value, float) else value for name, value in row.items()}
        for row in prepared.as_objects(rows)
    ]
    inputs = bundle.encoder.encode(posted)
    task = TaskRows("", inputs, prepared.target.values[rows, None].astype(np.float32))
    known, queries = slice(min(KNOWN, len(rows) - 1)), slice(-min(QUERIES, len(rows) - 1), None)
    prediction = BundleRegressor("", bundle).predict(task.inputs[known], task.targets[known], task.inputs[queries])
    targets = [_rounded(value) for value in task.targets[:, 0]]
    support = {"inputs": posted[known], "targets": targets[known]}
    request = {"model": bundle.name, "support": support, "queries": posted[queries]}
    answer = {"predictions": [[_rounded(value)] for value in prediction.mean]}
    return Example(_text(request), _text(answer), f"The true values are {json.dumps(targets[queries])}.")


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _text(value: dict[str, Any]) -> str:
    """JSON with a line for each field."""
    fields = [f"{json.dumps(key)}: {json.dumps(each, ensure_ascii=False)}" for key, each in value.items()]
    return "{" + ",\n  ".join(fields) + "}"
