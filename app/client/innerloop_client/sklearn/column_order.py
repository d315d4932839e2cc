"""The order of the columns of a DataFrame, where the model has names for its inputs."""

from typing import Any

from innerloop_client.arrays import is_a
from innerloop_client.descriptions import Models
from innerloop_client.errors import UnsupportedInput
from innerloop_client.tables import column_names, is_other_table, refuse_other_table


def have_columns(inputs: Any) -> bool:
    """Whether inputs have names for their columns: scikit-learn reads DataFrames of any library by position."""
    if is_a(inputs, "pandas", "DataFrame"):
        return any(isinstance(name, str) for name in inputs.columns)
    return is_other_table(inputs)


async def column_order(models: Models, model: str, inputs: Any) -> list[int] | None:
    """Where each input of a model is among the columns; None if they are in its order, or names do not matter.

    They do not if none of them is a name that the model has, as after a transformer that renames columns.

    Raises UnsupportedInput if some of the names are those of the model and others are not, and for other tables.
    """
    names = column_names((await models.model(model))["inputs"]) if have_columns(inputs) else []
    if not names:
        return None
    refuse_other_table(inputs, "inputs", "X")
    columns = list(map(str, inputs.columns))
    if not set(columns) & set(names):
        return None
    if sorted(columns) != sorted(names):
        raise UnsupportedInput(f"X: expected the columns {', '.join(names)}, got {', '.join(columns)}")
    return None if columns == names else [columns.index(name) for name in names]
