"""Made-up tables: lines through machines, each with its own slope."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

Columns = Mapping[str, Sequence[object]]


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


def write_csv(path: Path, columns: Columns, delimiter: str = ",") -> Path:
    """Write the columns as CSV."""
    path.write_text(csv_text(columns, delimiter))
    return path


def csv_text(columns: Columns, delimiter: str = ",") -> str:
    """The columns as CSV."""
    rows = [[*columns], *zip(*columns.values(), strict=True)]
    return "".join(delimiter.join("" if cell is None else str(cell) for cell in row) + "\n" for row in rows)


def plain(tasks: int = 30, rows: int = 6) -> Columns:
    """Columns of a table of noise: id, x, y."""
    random = np.random.default_rng(0)
    names = [f"t{task}" for task in range(tasks) for _ in range(rows)]
    numbers = random.normal(size=(2, len(names))).round(3).tolist()
    return {"id": list(names), "x": numbers[0], "y": numbers[1]}
