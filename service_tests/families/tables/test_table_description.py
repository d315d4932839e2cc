"""What a card says of a table."""

from app.families.tables.table_description import describe_table
from app.families.tables.table_spec import TableSpec

SPEC = TableSpec("shop", "sales", ("month", "price"), "", "regression")


def test_the_columns_say_what_it_is_for_and_not_for() -> None:
    description = describe_table(SPEC, "", "", "unknown")
    assert description.purpose == "predicts sales from month, price, after a few rows of the same shop."
    assert description.not_for.startswith("A new shop that is unlike all those of training, and tables whose columns")
    assert description.data.endswith("The column shop says whose row it is.")


def test_who_knows_more_says_it_instead() -> None:
    description = describe_table(SPEC, "Shops of one town.", "Shops elsewhere.", "mit")
    assert (description.data, description.not_for, description.licence) == (
        "Shops of one town.",
        "Shops elsewhere.",
        "mit",
    )
