"""From what a user says about a table to the family that draws its tasks."""

from dataclasses import replace
from typing import Any

from app.families.table import Table
from app.training.tables.table_settings import TableSettings


def make_table(settings: TableSettings) -> Table:
    """The family, with everything resolved that the table itself decides: kind, inputs and sizes.

    Raises DataError where the table cannot be read or does not have the columns.
    """
    spec = settings.spec
    draft = Table(
        spec.task, spec.target, spec.inputs, spec.order, spec.kind, spec.categories, spec.decimal, data=settings.source
    )
    prepared = draft.prepared
    found = prepared.spec
    table = replace(
        draft,
        task=found.task,
        kind=found.kind,
        inputs=tuple(column.name for column in prepared.inputs),
        width=prepared.encoder.feature_shape[0],
    ).with_prepared(prepared)
    return table if table.kind == "regression" else replace(table, classes=table.max_ways).with_prepared(prepared)


def options_of(table: Table) -> dict[str, Any]:
    """The options of the family, as a bundle has them: those that are not as by default."""
    usual = Table()
    names = (
        "task",
        "target",
        "inputs",
        "order",
        "kind",
        "categories",
        "decimal",
        "width",
        "classes",
        "source",
        "licence",
    )
    options = {name: (vars(table)[name], vars(usual)[name]) for name in names}
    return {name: value for name, (value, default) in options.items() if value != default or name == "kind"}
