"""How many different values of a column become the same in float32, in which models compute."""

import numpy as np

KEPT = 0.99
"""Of the different values of tasks, so many have to stay different; otherwise it is worth a caution."""
USABLE = 0.5
"""A target that keeps fewer cannot be predicted."""


def distinct_in_tasks(values: np.ndarray, tasks: np.ndarray) -> tuple[int, int]:
    """How many different values the tasks have together: as float64, and as float32.

    values: float64 [row], NaN where one is missing; tasks: the code of each row's task
    """
    present = ~np.isnan(values)
    values, tasks = values[present], tasks[present]
    order = np.lexsort((values, tasks))
    ordered, other = values[order], np.diff(tasks[order]) != 0

    def count(column: np.ndarray) -> int:
        return int((other | (np.diff(column) != 0)).sum()) + bool(len(column))

    return count(ordered), count(ordered.astype(np.float32))


def loss_text(name: str, exact: int, kept: int, smallest: float) -> str:
    """What happened, and what to do."""
    return (
        f"{name} has {exact:,} different values in its tasks, of which float32 keeps {kept:,} apart. Subtract a number "
        f"near its smallest value, {smallest:.0f}, and use the difference as a column."
    )
