"""What the columns of a table say about a model, for its card."""

from app.families.family import Description
from app.families.tables.table_spec import TableSpec


def describe_table(spec: TableSpec, source: str, licence: str) -> Description:
    """The purpose, the limits and the data. Whoever knows more about the table writes it into the card.

    source: where the table is from, in sentences; empty if that is unknown
    """
    given = f" from {', '.join(spec.inputs)}" if spec.inputs else ""
    rows = f"the first rows by {spec.order}" if spec.order else "a few rows"
    return Description(
        purpose=f"predicts {spec.target}{given}, after {rows} of the same {spec.task}.",
        not_for=f"Rows of which no other row of the same {spec.task} can be like those of training, and tables "
        "whose columns mean something else.",
        data=source or f"A table with a row for each measurement. The column {spec.task} says whose row it is.",
        licence=licence,
    )
