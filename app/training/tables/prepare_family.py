"""From what a user says about a table to the family that draws its tasks."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from app.families.table import Table
from app.training.tables.table_settings import TableSettings

MIN_SHARE = 0.2


def make_table(settings: TableSettings) -> Table:
    """The family, with everything resolved that the table itself decides: kind, inputs and sizes.

    Raises DataError where the table cannot be read or does not have the columns.
    """
    spec = settings.spec
    draft = Table(
        spec.task, spec.target, spec.inputs, spec.order, spec.kind, spec.categories, spec.decimal, data=settings.source
    )
    prepared = draft.prepared
    settled = prepared.spec
    table = replace(
        draft,
        task=settled.task,
        target=settled.target,
        order=settled.order,
        categories=settled.categories,
        kind=settled.kind,
        inputs=tuple(column.name for column in prepared.inputs),
        width=prepared.encoder.feature_shape[0],
        fingerprint=prepared.fingerprint,
    ).with_prepared(prepared)
    return table if table.kind == "regression" else replace(table, classes=table.max_ways).with_prepared(prepared)


def options_of(table: Table) -> dict[str, Any]:
    """The options of the family, as a bundle has them: those that are not as by default."""
    usual = Table()
    columns = ("task", "target", "inputs", "order", "kind", "categories", "decimal", "width", "classes", "fingerprint")
    options = {name: (vars(table)[name], vars(usual)[name]) for name in (*columns, "source", "licence")}
    return {name: value for name, (value, default) in options.items() if value != default or name == "kind"}


def usable_sizes(table: Table, sizes: Sequence[int]) -> tuple[int, ...]:
    """The numbers of known rows that leave a row to predict in at least MIN_SHARE of the tasks.

    If none does, the number is half of the rows of a usual task.
    """
    rows = np.array([len(each) for each in table.prepared.rows.values()])
    usable = tuple(size for size in sizes if (rows > size).mean() >= MIN_SHARE)
    return usable or (max(1, int(np.median(rows)) // 2),)
