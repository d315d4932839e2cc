"""A table that is read, split and encoded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np

from app.encoders.table import TableEncoder
from app.errors import DataError, Invalid, expectation
from app.families.family import Split
from app.families.tables.float32_loss import USABLE, distinct_in_tasks
from app.families.tables.input_columns import InputColumn, input_columns
from app.families.tables.odd_values import check_tells_apart
from app.families.tables.raw_table import RawTable
from app.families.tables.rows_by_task import rows_by_task
from app.families.tables.splits import split_tasks
from app.families.tables.table_spec import TableSpec, check_spec
from app.families.tables.target_column import Target, read_target, read_target_data
from app.families.tables.task_column import MIN_ROWS, MIN_TASKS, task_names
from app.families.task_rows import TaskRows
from app.learn.target_scale import MAX_STD, MIN_STD

FITTED_ROWS = 200_000
"""The encoder is fitted on at most so many training rows."""
CHUNK = 50_000


@dataclass(frozen=True, eq=False)
class PreparedTable:
    """What a table is, for training.

    spec: with the task and the kind that were found
    columns: all but task and target
    rows: by task, the indices of its rows in the table, in the order of `--order`
    without_task, without_target: how many rows were left out because these were missing
    small_tasks: how many tasks were left out because they have a single row
    tied_tasks: in how many tasks some rows are equal in `--order`, and so as they are in the table
    """

    raw: RawTable
    spec: TableSpec
    target: Target
    columns: Sequence[InputColumn]
    rows: Mapping[str, np.ndarray]
    without_task: int
    without_target: int
    small_tasks: int
    tied_tasks: int = 0

    @property
    def inputs(self) -> list[InputColumn]:
        """The columns that are inputs."""
        return [column for column in self.columns if not column.left_out]

    @cached_property
    def splits(self) -> Mapping[Split, list[str]]:
        """The names of the tasks of each split."""
        return split_tasks([*self.rows])

    @cached_property
    def task_rows(self) -> np.ndarray:
        """The indices of the rows of all tasks, task by task."""
        return np.concatenate([*self.rows.values()])

    @cached_property
    def task_codes(self) -> np.ndarray:
        """The task of each of `task_rows`, counted from 0."""
        return np.repeat(np.arange(len(self.rows)), [len(rows) for rows in self.rows.values()])

    @cached_property
    def encoder(self) -> TableEncoder:
        """Fitted on rows of training tasks."""
        rows = np.concatenate([self.rows[name] for name in self.splits["training"]])[:FITTED_ROWS]
        for column in self.inputs:
            if column.data is not None and column.data.missing[rows].all():
                fix = "leave it out with --inputs"
                raise DataError(expectation(column.name, "a value in rows of training tasks", "none in any", fix))
        options = {column.name: column.options for column in self.inputs}
        return TableEncoder.fit(self._values(rows), options, [column.name for column in self.inputs])

    @cached_property
    def features(self) -> np.ndarray:
        """The encoded inputs of all rows, float32 [row, feature]; 0 in rows that were left out."""
        features = np.zeros((self.raw.rows, *self.encoder.feature_shape), np.float32)
        rows = np.sort(np.concatenate([*self.rows.values()]))
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            features[part] = self._encoded(part)
        return features

    def tasks(self, split: Split | None = None) -> list[TaskRows]:
        """The tasks of a split, or all of them. For labels, a target is the index of its label."""
        names = self.rows if split is None else self.splits[split]
        targets = self.target.values.astype(np.float32)[:, None]
        return [TaskRows(name, self.features[self.rows[name]], targets[self.rows[name]]) for name in names]

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that another table, or another use of its columns, does not have."""
        digest = blake2b(repr(replace(self.spec, inputs=())).encode(), digest_size=8)
        rows = self.task_rows
        digest.update(repr([(name, len(each)) for name, each in self.rows.items()]).encode())
        digest.update(repr(self.target.labels).encode() + self.target.values[rows].tobytes())
        for column in self.inputs:
            assert column.data is not None, "an input has values"
            values = column.data.values[rows]
            is_number = column.data.type == "number"
            digest.update(repr((column.name, column.data.type)).encode())
            digest.update(values.tobytes() if is_number else repr(values.tolist()).encode())
        return digest.hexdigest()

    def as_objects(self, rows: np.ndarray) -> list[dict[str, Any]]:
        """The inputs of rows as people post them: by column, null where a value is missing."""
        names = [column.name for column in self.encoder.columns]
        return [dict(zip(names, row, strict=True)) for row in self.encoder.canonical(self._values(rows))]

    def _values(self, rows: np.ndarray) -> list[tuple[Any, ...]]:
        """The values of rows in the order of the inputs."""
        columns = [column.data.values[rows].tolist() for column in self.inputs if column.data is not None]
        return list(zip(*columns, strict=True))

    def _encoded(self, rows: np.ndarray) -> np.ndarray:
        try:
            return self.encoder.encode(self._values(rows))
        except Invalid as error:
            raise DataError(f"{self.raw.name}, {self.raw.place(int(rows[0]))} or below: {error}") from error


def prepare(raw: RawTable, spec: TableSpec) -> PreparedTable:
    """Find out what the columns are, and sort the rows into tasks. Raises DataError where that cannot be."""
    spec = check_spec(spec, raw)
    names = task_names(raw, spec.task)
    target_data = read_target_data(raw, spec)
    if target_data.type == "number":
        check_tells_apart(raw, spec.target, "--target")
    target = read_target(raw, target_data, spec.kind)
    has_task = np.array([name is not None for name in names], bool)
    kept = has_task & ~np.isnan(target.values)
    columns = input_columns(raw, spec, names, kept)
    rows, tied = rows_by_task(raw, spec, names, kept)
    large = {name: each for name, each in rows.items() if len(each) >= MIN_ROWS}
    if len(large) < MIN_TASKS:
        actual = f"{len(large)}" + (
            f", and {len(rows) - len(large)} with a single row" if len(rows) > len(large) else ""
        )
        fix = "add tasks, or choose another column"
        expected = f"at least {MIN_TASKS} tasks with {MIN_ROWS} rows or more"
        raise DataError(expectation(f"--task {spec.task}", expected, actual, fix))
    table = PreparedTable(
        raw,
        replace(spec, kind=target.kind),
        target,
        columns,
        large,
        int((~has_task).sum()),
        int((has_task & ~kept).sum()),
        len(rows) - len(large),
        tied,
    )
    _check_float32(table)
    _check_scale(table)
    return table


def _check_float32(table: PreparedTable) -> None:
    """Raise DataError where most values of the target are the same in float32."""
    values = table.target.values
    exact, kept = distinct_in_tasks(values[table.task_rows], table.task_codes)
    if kept < USABLE * exact:
        name = table.spec.target
        expected = "values that differ in float32, in which models compute"
        fix = f"subtract a number near its smallest value, {np.nanmin(values):.0f}, and predict the difference"
        raise DataError(expectation(f"--target {name}", expected, f"{kept:,} of {exact:,} different ones", fix))


def _check_scale(table: PreparedTable) -> None:
    """Raise DataError where the numbers of the target are so small or so large that float32 lacks their squares."""
    if table.spec.kind != "regression":
        return
    rows = np.concatenate([table.rows[name] for name in table.splits["training"]])
    std = float(table.target.values[rows].std())
    if std > 0 and not MIN_STD <= std <= MAX_STD:
        expected = f"numbers with a standard deviation of {MIN_STD:g} to {MAX_STD:g}"
        raise DataError(expectation(f"--target {table.spec.target}", expected, f"{std:.2g}", "use another unit"))
