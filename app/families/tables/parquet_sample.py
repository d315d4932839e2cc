"""Some tasks of a Parquet file that is too large for memory, with all of their rows.

The file is read twice, a batch of rows at a time: once to count the rows of each task, once for the rows of the tasks
that are taken. It makes no difference whether it is sorted by task. What is in memory at once is a batch, the names of
the tasks, and the rows that are taken.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import compute, parquet

from app.errors import DataError, expectation
from app.families.tables.splits import hash_of

BATCH_ROWS = 1 << 18
MAX_TASKS = 5_000_000
"""More names than these take gigabytes."""


def count_rows(file: Any, task: str, name: str) -> dict[Any, int]:
    """How many rows each task has. Raises DataError where there are too many tasks to count."""
    counts: dict[Any, int] = {}
    for batch in file.iter_batches(BATCH_ROWS, columns=[task], use_threads=False):
        counted = compute.value_counts(batch.column(0))
        pairs = zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)
        for value, count in pairs:
            if value is not None:
                counts[value] = counts.get(value, 0) + count
        if len(counts) > MAX_TASKS:
            fix = "choose the column that says whose row it is"
            raise DataError(expectation(f"--task {task}", f"at most {MAX_TASKS:,} tasks in {name}", "more", fix))
    return counts


def choose_tasks(counts: dict[Any, int], max_rows: int) -> list[Any]:
    """Tasks with up to so many rows together, in the order of their hashes, so that a longer file changes few."""
    chosen: list[Any] = []
    rows = 0
    for value in sorted(counts, key=lambda value: hash_of(str(value))):
        if chosen and rows + counts[value] > max_rows:
            break
        chosen.append(value)
        rows += counts[value]
    return chosen


def read_tasks(file: Any, task: str, chosen: list[Any]) -> Any:
    """The rows of the tasks, in the order of the file, as an Arrow table."""
    index = file.schema_arrow.get_field_index(task)
    values = pa.array(chosen, _plain(file.schema_arrow.field(index).type))
    parts = list(_batches(file, index, values))
    return pa.Table.from_batches(parts)


def _batches(file: Any, index: int, values: Any) -> Iterator[Any]:
    for batch in file.iter_batches(BATCH_ROWS, use_threads=False):
        names = batch.column(index)
        if pa.types.is_dictionary(names.type):
            names = names.dictionary_decode()
        yield batch.filter(compute.is_in(names, value_set=values))


def _plain(kind: Any) -> Any:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def sample_parquet(path: Path, task: str, max_rows: int) -> tuple[Any, int]:
    """The rows of some tasks as an Arrow table, and how many tasks the file has."""
    file = parquet.ParquetFile(path)
    counts = count_rows(file, task, path.name)
    if not counts:
        raise DataError(expectation(f"--task {task}", "a name in each row", "none in any", "choose another column"))
    chosen = choose_tasks(counts, max_rows)
    return read_tasks(file, task, chosen), len(counts)
