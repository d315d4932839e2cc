"""The order of the columns of a DataFrame, where the model has names for its inputs."""

from collections.abc import Sequence
from typing import Any

from innerloop_client.arrays import is_a
from innerloop_client.descriptions import Models
from innerloop_client.errors import UnsupportedInput
from innerloop_client.tables import column_names, is_other_table, refuse_other_table


def columns_of(inputs: Any) -> list[str] | None:
    """The names of the columns of a DataFrame; None if it has none. scikit-learn reads them by position."""
    if not is_a(inputs, "pandas", "DataFrame") or not any(isinstance(name, str) for name in inputs.columns):
        return None
    return list(map(str, inputs.columns))


async def in_model_order(models: Models, model: str, numbers: Any, inputs: Any, columns: Sequence[str] | None) -> Any:
    """Numbers [row, column] in the order of the model's names; as they are if names do not matter.

    They do not if none of them is a name that the model has, as after a transformer that renames columns.

    inputs: where the numbers come from; columns: the names of its columns, None if they have none

    Raises UnsupportedInput if some of the names are those of the model and others are not, and for other tables.
    """
    if columns is None and not is_other_table(inputs):
        return numbers
    names = column_names((await models.model(model))["inputs"])
    if names:
        refuse_other_table(inputs, "inputs", "X")
    if columns is None or not set(columns) & set(names):
        return numbers
    if sorted(columns) != sorted(names):
        raise UnsupportedInput(f"X: expected the columns {', '.join(names)}, got {', '.join(columns)}")
    return numbers[:, [columns.index(name) for name in names]]
