"""What about a table spoils results: a column that leaks the target, repeated rows, too few tasks."""

from collections.abc import Iterator, Sequence

import numpy as np

from app.encoders.columns.category import MAX_CATEGORIES
from app.families.tables.column_data import ColumnData
from app.families.tables.float32_loss import KEPT, distinct_in_tasks, loss_text
from app.families.tables.input_columns import InputColumn, names_the_task
from app.families.tables.leaks import explained
from app.families.tables.number_text import leading_zero
from app.families.tables.prepared_table import PreparedTable
from app.families.tables.splits import FEW_TASKS
from app.families.tables.unread_formats import written_form

ROWS = 50_000
"""Of which leaks are looked for."""
LEAK = 0.99
"""A column leaks the target if it alone explains this share of the variance."""
COMMON = 0.95
"""A target hardly varies if one value has this share of the rows."""
SPAN = 100
"""Positive amounts whose largest is so many times their median are easier to predict as logarithms."""


def cautions(table: PreparedTable, support: Sequence[int]) -> list[str]:
    """Sentences, the most important first. support: the numbers of known rows that the model is for"""
    return [
        *_few_tasks(table),
        *_left_out_rows(table, support),
        *_inputs(table),
        *_target(table),
        *_ties(table),
        *_repeats(table),
    ]


def _few_tasks(table: PreparedTable) -> Iterator[str]:
    count = len(table.rows)
    if count < FEW_TASKS:
        yield (
            f"There are only {count} tasks. One split says little about so few, so an ensemble is compared with the "
            "baselines by cross-validation over all of them."
        )


def _left_out_rows(table: PreparedTable, support: Sequence[int]) -> Iterator[str]:
    spec = table.spec
    if table.without_task:
        yield f"{_rows(table.without_task)} without a {spec.task}: left out."
    if table.without_target:
        yield f"{_rows(table.without_target)} without a {spec.target}: left out."
    if table.small_tasks:
        yield f"{_tasks(table.small_tasks)} with a single row: left out, as one row has to be predicted."
    sizes = np.array([len(rows) for rows in table.rows.values()])
    for size in sorted(support, reverse=True):
        short = int((sizes <= size).sum())
        larger = len(sizes) - short
        if short:
            known = f"with {size} known rows, nothing is left to predict there"
            rest = (
                f"Errors with so many are those of the {_tasks(larger)} with more rows"
                if larger
                else "No task has more"
            )
            yield f"{_tasks(short)} with at most {size} rows: {known}. {rest}."
        if short and larger:
            return


def _inputs(table: PreparedTable) -> Iterator[str]:
    names = np.empty(table.raw.rows, object)
    for name, rows in table.rows.items():
        names[rows] = name
    kept = np.array([name is not None for name in names], bool)
    rows = np.flatnonzero(kept)
    rows = rows[:: max(1, len(rows) // ROWS)]
    codes = np.unique(names[rows].astype(str), return_inverse=True)[1]
    for column in table.inputs:
        yield from _input(table, column, names, kept)
        if column.data is not None and column.data.type == "number":
            yield from _loss(table, column.name, column.data.values)
            yield from _codes(table, column.name, "codes")
        elif column.data is not None:
            yield from _form(table, column.data)
        assert column.data is not None, "an input has values"
        share, where = explained(column.data, table.target.values, rows, codes)
        if share > LEAK:
            known = " where it is not missing" if column.data.missing[rows].any() else ""
            yield (
                f"{column.name} alone explains {100 * share:.1f} % of how {table.spec.target} varies{where}{known}. If "
                "it is known only after the target is, leave it out with --inputs."
            )


def _input(table: PreparedTable, column: InputColumn, names: np.ndarray, kept: np.ndarray) -> Iterator[str]:
    data = column.data
    assert data is not None, "an input has values"
    if data.distinct == 1:
        yield f"{column.name} has the same value in every row, so it predicts nothing."
    elif data.type in ("category", "date") and names_the_task(data, names, kept):
        yield f"{column.name} names the task. A new task has a name that training has not seen: leave it out."
    elif data.type == "category" and data.distinct > MAX_CATEGORIES:
        yield (
            f"{column.name} has {data.distinct:,} categories. The {MAX_CATEGORIES} most frequent are told apart, and "
            "all others count as one."
        )


def _form(table: PreparedTable, data: ColumnData) -> Iterator[str]:
    """Of a column of texts that may be meant as numbers or dates."""
    if data.name in table.spec.categories:
        return
    if form := written_form(data):
        yield (
            f"{data.name} looks like {form.looks}, but is read as {data.distinct:,} categories. If they are not names, "
            f"{form.fix}."
        )


def _codes(table: PreparedTable, name: str, use: str) -> Iterator[str]:
    """Of a column of texts that are read as numbers although they may be codes. use: what they are then"""
    if not table.raw.is_text or name in table.spec.categories:
        return
    if code := leading_zero(table.raw.columns[name]):
        yield f"{name} has numbers that begin with 0, such as {code}. If they are {use}, add --categories {name}."


def _target(table: PreparedTable) -> Iterator[str]:
    values, target = table.target.values, table.spec.target
    if table.spec.kind == "regression":
        yield from _loss(table, target, values)
    yield from _codes(table, target, "labels")
    values = values[~np.isnan(values)]
    common = np.unique(values, return_counts=True)[1].max() / len(values)
    if common > COMMON:
        yield f"{target} hardly varies: {100 * common:.1f} % of the rows have the same value."
    if table.spec.kind != "regression":
        return
    constant = sum(float(np.ptp(table.target.values[rows])) == 0 for rows in table.rows.values())
    if constant > len(table.rows) / 2:
        yield f"{target} is the same in all rows of a task in {constant:,} tasks, so one known row tells all others."
    if values.min() > 0 and values.max() > SPAN * np.median(values):
        yield (
            f"{target} is positive, and its largest value is {values.max() / np.median(values):,.0f} times the median. "
            "Its logarithm is usually easier to predict: add a column with it, and name that as the target."
        )


def _loss(table: PreparedTable, name: str, values: np.ndarray) -> Iterator[str]:
    """Of a column whose values lie too close together for float32."""
    exact, kept = distinct_in_tasks(values[table.task_rows], table.task_codes)
    if kept < KEPT * exact:
        yield loss_text(name, exact, kept, float(np.nanmin(values)))


def _ties(table: PreparedTable) -> Iterator[str]:
    """Of rows that are equal in `--order`."""
    if table.tied_tasks:
        yield (
            f"{table.spec.order} has the same value in several rows of {_tasks(table.tied_tasks)}. They keep the order "
            "of the table, so in another order its known rows differ: name a column that tells them apart."
        )


def _repeats(table: PreparedTable) -> Iterator[str]:
    """Rows that are the same in all inputs, task and target."""
    codes, rows = table.task_codes, table.task_rows
    parts = [codes[:, None], table.features[rows], table.target.values[rows, None]]
    content = np.ascontiguousarray(np.concatenate(parts, axis=1, dtype=np.float64))
    distinct = len(np.unique(content.view(np.dtype((np.void, content.itemsize * content.shape[1])))))
    if distinct < len(rows):
        yield (
            f"{_rows(len(rows) - distinct)} with the same inputs and target as another row of the same task. The copy "
            "of a known row is easy to predict: remove copies that were not measured again."
        )


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _tasks(count: int) -> str:
    return f"{count:,} task{'' if count == 1 else 's'}"
