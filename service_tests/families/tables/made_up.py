"""Made-up tables: lines through machines, each with its own slope."""

from pathlib import Path

import numpy as np


def machines(tasks: int = 30, rows: int = 12, seed: int = 0) -> dict[str, list[object]]:
    """Columns of a table: machine, load (kg), oil, heat."""
    random = np.random.default_rng(seed)
    columns: dict[str, list[object]] = {"machine": [], "load (kg)": [], "oil": [], "heat": []}
    for task in range(tasks):
        slope, offset = random.normal(2, 1), random.normal(0, 3)
        for _ in range(rows):
            load, oil = random.uniform(0, 10), random.choice(["old", "new"])
            heat = slope * load + offset + (oil == "old") + random.normal(0, 0.1)
            row = (f"m{task:02d}", round(load, 3), oil, round(heat, 3))
            for name, value in zip(columns, row, strict=True):
                columns[name].append(value)
    return columns


def write_csv(path: Path, columns: dict[str, list[object]], delimiter: str = ",") -> Path:
    """Write the columns as CSV."""
    rows = [[*columns], *zip(*columns.values(), strict=True)]
    path.write_text("".join(delimiter.join(str(cell) for cell in row) + "\n" for row in rows))
    return path
