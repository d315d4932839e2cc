"""What was understood of a table, in Markdown: a line for each column, the tasks, and what spoils results."""

from collections.abc import Sequence

import numpy as np

from app.errors import names_text
from app.families.tables.cautions import cautions
from app.families.tables.input_columns import InputColumn, unit_of
from app.families.tables.prepared_table import PreparedTable
from app.families.tables.splits import FEW_TASKS

SHOWN_LABELS = 5


def table_summary(table: PreparedTable, support: Sequence[int]) -> str:
    """What a command prints before it trains. support: the numbers of known rows that the model is for"""
    raw, spec = table.raw, table.spec
    total = f"{raw.total_rows:,} rows of {raw.total_tasks:,} tasks, read: " if raw.total_rows else ""
    lines = [
        f"{raw.name}: {raw.form}, {total}{raw.rows:,} rows.",
        *(f"{_line(_sentence(note))}." for note in raw.notes),
        "",
        "| column | type | missing | used as |",
        "|---|---|---|---|",
        _row(spec.task, "text", _share(table.without_task, raw.rows), "the task"),
        _row(spec.target, _target_type(table), _share(_missing_targets(table), raw.rows), "the target"),
        *(_column(table, column) for column in table.columns),
        "",
        _tasks(table),
        *_order(table),
    ]
    warnings = [f"- {_line(text)}" for text in cautions(table, support)]
    return "\n".join([*lines, *(["", "Take note:", "", *warnings] if warnings else [])])


def _row(*cells: str) -> str:
    """Of a table in Markdown."""
    escaped = [_line(cell).replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"


def _line(text: str) -> str:
    """In one line: names of columns may have line breaks."""
    return " ".join(text.splitlines())


def _sentence(note: str) -> str:
    """With a capital, unless it begins with the name of a file or with a value, which are as they are."""
    return f"The {note.removeprefix('the ')}" if note.startswith("the ") else note


def _target_type(table: PreparedTable) -> str:
    target = table.target
    if target.kind == "regression":
        unit = unit_of(table.spec.target)
        values = target.values[~np.isnan(target.values)]
        return f"number{f' in {unit}' if unit else ''}, {values.min():g} to {values.max():g} ({target.reason})"
    labels = ", ".join(target.labels[:SHOWN_LABELS]) + (", ..." if len(target.labels) > SHOWN_LABELS else "")
    return f"label: {labels} ({target.reason})"


def _missing_targets(table: PreparedTable) -> int:
    return int(np.isnan(table.target.values).sum())


def _column(table: PreparedTable, column: InputColumn) -> str:
    data = column.data
    if data is None:
        return _row(column.name, "", "", f"left out: {column.left_out}")
    missing = _share(int(data.missing.sum()), len(data.values))
    if column.left_out:
        shown = data.type if len(data.present) else ""
        return _row(column.name, shown, missing, f"left out: {column.left_out}")
    unit = unit_of(column.name)
    note = "".join(f", {each}" for each in (f"in {unit}" if unit else "", data.note) if each)
    fitted = next(each for each in table.encoder.columns if each.name == column.name)
    flag = " and a flag where it is missing" if fitted.may_be_missing else ""
    encoding = {
        "number": "the number, scaled",
        "category": f"{data.distinct:,} categories, each 0 or 1",
        "boolean": "0 or 1",
        "date": "days, month and weekday",
    }[data.type]
    return _row(column.name, f"{data.type}{note}", missing, f"an input: {encoding}{flag}")


def _share(count: int, rows: int) -> str:
    if not count:
        return "none"
    share = 100 * count / rows
    return f"{count:,} ({share:.0f} %)" if share >= 1 else f"{count:,}"


def _tasks(table: PreparedTable) -> str:
    sizes = [len(rows) for rows in table.rows.values()]
    splits = table.splits
    rows = f"{min(sizes):,} to {max(sizes):,} rows, median {np.median(sizes):,.0f}"
    if min(sizes) == max(sizes):
        rows = f"{sizes[0]:,} rows each"
    counted = f"{len(sizes):,} tasks (by {table.spec.task}) with {rows}."
    if len(sizes) < FEW_TASKS:
        return counted
    parts = f"{len(splits['training']):,} for training, {len(splits['validation']):,} for validation"
    tested = names_text(sorted(splits["test"]))  # tasks to try the model on: training has not seen them
    return f"{counted} Split by task: {parts}, {len(splits['test']):,} for test ({tested})."


def _order(table: PreparedTable) -> list[str]:
    if not table.spec.order:
        return []
    return [f"The rows of a task are sorted by {table.spec.order}: the first are known, later ones are predicted."]
