"""How much memory does a large Parquet file take, and how soon does training begin?

A made-up file of 10 million rows in 100,000 tasks, once sorted by task and once in random order, each read in a fresh
process: by `innerloop train --table` up to the first outer step, and by pandas as a whole, with the rows grouped by
task. The memory is the peak of the process; `before` is what it takes to import the packages alone.

    python -m service_tests.benchmarks.table_parquet --rows 1000000
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from service_tests.benchmarks.report import write

ROWS, TASK_ROWS = 10_000_000, 100
PART = 1_000_000
MIB = 1024
"""ru_maxrss counts in units of 1,024 bytes."""
QUESTION = "Parquet of many tasks: peak memory and seconds to the first step of training"


def write_file(path: Path, rows: int, *, is_sorted: bool) -> None:
    """Lines through machines, in parts of PART rows."""
    import pyarrow as pa
    from pyarrow import parquet

    random, tasks = np.random.default_rng(0), rows // TASK_ROWS
    slopes, writer = random.normal(size=tasks), None
    for start in range(0, rows, PART):
        count = min(PART, rows - start)
        task = np.arange(start, start + count) // TASK_ROWS if is_sorted else random.integers(tasks, size=count)
        load, age = random.normal(size=(2, count))
        part = pa.table(
            {
                "machine": pa.array([f"machine {number}" for number in task]),
                "load": load,
                "age": age,
                "oil": pa.array(np.array(["old", "new"])[random.integers(2, size=count)]),
                "heat": slopes[task] * load + 0.1 * random.normal(size=count),
            }
        )
        writer = writer or parquet.ParquetWriter(path, part.schema)
        writer.write_table(part)
    assert writer is not None, "there is a part"
    writer.close()


def first_step(path: Path) -> None:
    """Read the table and take one outer step."""
    import torch

    from app.families.tables.table_spec import TableSpec
    from app.training.tables.prepare_family import make_table
    from app.training.tables.table_recipe import table_recipe
    from app.training.tables.table_settings import TableSettings
    from app.training.train_to_end import make_run

    settings = TableSettings(path, TableSpec("machine", "heat"), algorithm="alpaca")
    table = make_table(settings)
    make_run(table_recipe(settings, table), torch.device("cpu"), compiled=False, family=table).advance(1)


def with_pandas(path: Path) -> None:
    """Read the whole file and group its rows."""
    import pandas

    frame = pandas.read_parquet(path)
    for _, rows in frame.groupby("machine"):
        len(rows)


WAYS: Mapping[str, Callable[[Path], None]] = {"innerloop": first_step, "pandas": with_pandas}


def measure(way: str, path: Path) -> dict[str, Any]:
    """In a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", __spec__.name, "--way", way, "--file", str(path)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def run_way(way: str, path: Path) -> None:
    """Measure this process, and print the result as JSON."""
    import pandas  # noqa: F401 (for both ways, so that `before` is the same)
    import torch  # noqa: F401

    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, perf_counter()
    WAYS[way](path)
    seconds, peak = perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": round(seconds, 1), "peak_mib": peak // MIB, "before_mib": before // MIB}))


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=f"{QUESTION}. Only the usual size's results are kept.")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--way", choices=[*WAYS], help="measure this process")
    parser.add_argument("--file", type=Path, help="the file to read, for --way")
    options = parser.parse_args()
    if options.way:
        run_way(options.way, options.file)
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for is_sorted in (True, False):
            path = Path(folder) / "machines.parquet"
            write_file(path, options.rows, is_sorted=is_sorted)
            size = {"rows": options.rows, "tasks": options.rows // TASK_ROWS, "sorted": is_sorted}
            rows += [{**size, "way": way, **measure(way, path)} for way in WAYS]
    write("table_parquet", QUESTION, rows, keep=options.rows == ROWS)


if __name__ == "__main__":
    main()
