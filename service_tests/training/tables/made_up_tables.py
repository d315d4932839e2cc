"""Tables of tasks whose answer is known."""

import numpy as np

from app.families.task_rows import TaskRows


def table_of_offsets(
    tasks: int = 40, rows: int = 30, between: float = 4.0, within: float = 1.0, seed: int = 0
) -> list[TaskRows]:
    """y = 2 x + the offset of the task + noise; a second column is noise.

    between, within: the variances of offsets and of noise
    """
    generator = np.random.default_rng(seed)
    table = []
    for task in range(tasks):
        inputs = generator.normal(size=(rows, 2)).astype(np.float32)
        noise = generator.normal(size=rows) * within**0.5 + generator.normal() * between**0.5
        targets = (2.0 * inputs[:, 0] + noise).astype(np.float32)
        table.append(TaskRows(f"task {task}", inputs, targets[:, None]))
    return table
