"""What the columns of a table say about a model, for its card."""

from app.families.family import Description
from app.families.tables.table_spec import TableSpec


def describe_table(spec: TableSpec, source: str, not_for: str, licence: str) -> Description:
    """The purpose, the limits and the data. Whoever knows more about the table writes it into the card.

    source: where the table is from, in sentences; empty if that is unknown
    not_for: what the model should not be used for, in sentences; empty for what holds for every table
    """
    given = f" from {', '.join(spec.inputs)}" if spec.inputs else ""
    rows = f"the first rows by {spec.order}" if spec.order else "a few rows"
    return Description(
        purpose=f"predicts {spec.target}{given}, after {rows} of the same {spec.task}.",
        not_for=not_for
        or f"A new {spec.task} that is unlike all those of training, and tables whose columns mean something else.",
        data=source or f"A table with a row for each measurement. The column {spec.task} says whose row it is.",
        licence=licence,
    )
