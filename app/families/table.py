"""A table of tasks: rows of patients, shops or machines, with a column that says whose row it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from app.encoders.encoder import Encoder
from app.errors import DataError, expectation, missing_package
from app.families.family import Description, Samples, Split, interleave_classes, stack_tasks
from app.families.tables.input_columns import unit_of
from app.families.tables.labelled_tasks import LabelledTasks, label_sizes, labelled_tasks
from app.families.tables.prepared_table import PreparedTable, prepare
from app.families.tables.table_description import describe_table
from app.families.tables.table_spec import TableSpec
from app.families.task_rows import TaskRows
from app.learn.networks import NetworkSpec

SPLITS: tuple[Split, ...] = ("training", "validation", "test")
HIDDEN = 64
EMBEDDING = 32


@dataclass(frozen=True)
class Table:
    """Rows of a table, encoded by its columns, and the target of each: a number, or one of a few labels.

    Tasks are split by name. Rows are drawn at random, unless there is an order: then the support set of a task is its
    first rows.

    task, target, inputs, order, categories, decimal: see `app.families.tables.table_spec.TableSpec`
    kind: `regression` or `classification`
    width: the number of features (0: as the table has)
    classes: for labels, how many a task has (0: as most tasks of the table have)
    source, not_for, licence: for the card: where the table is from and what the model should not be used for, in
        sentences, and the licence as Hugging Face names it
    fingerprint: that of the table, if it has to be that one (`PreparedTable.fingerprint`)
    data: the file, the folder of files or, in Python, the DataFrame
    """

    task: str = ""
    target: str = ""
    inputs: Sequence[str] = ()
    order: str = ""
    kind: str = "regression"
    categories: Sequence[str] = ()
    decimal: str = ""
    width: int = 0
    classes: int = 0
    source: str = ""
    not_for: str = ""
    licence: str = "unknown"
    fingerprint: str = ""
    data: Path | Any | None = field(default=None, repr=False, compare=False)

    @property
    def features(self) -> int:
        """Of the encoded inputs."""
        return self.width or self.encoder.feature_shape[0]

    @property
    def targets(self) -> int:
        """One number, or the labels."""
        if self.kind == "regression":
            return 1
        return self.classes or self.max_ways

    @property
    def encoder(self) -> Encoder:
        """Fitted on the rows of training tasks."""
        return self.prepared.encoder

    @property
    def network(self) -> NetworkSpec:
        """A small perceptron whose outputs are an embedding."""
        options = {"inputs": self.features, "outputs": EMBEDDING, "hidden": [HIDDEN, HIDDEN], "activation": "tanh"}
        return NetworkSpec("mlp", options)

    @property
    def target_names(self) -> tuple[str, ...]:
        """The name of the target's column; none for labels."""
        return (self.target,) if self.kind == "regression" else ()

    @property
    def target_units(self) -> tuple[str, ...]:
        """The unit in the name of the target's column; none for labels."""
        return (unit_of(self.target),) if self.kind == "regression" else ()

    @property
    def description(self) -> Description:
        """What the columns say; whoever knows more about the table writes it into the card."""
        return describe_table(self._spec, self.source, self.not_for, self.licence)

    @property
    def caveat(self) -> str:
        """How few tasks the test split has."""
        count = len(self.prepared.splits["test"])
        return f"All test tasks are drawn from {count} tasks of the table, so the intervals are too narrow"

    @property
    def task_counts(self) -> Mapping[Split, int]:
        """How many tasks each split has."""
        return {split: len(names) for split, names in self.prepared.splits.items()}

    @property
    def training_inputs(self) -> list[np.ndarray]:
        """The features of all rows of each training task."""
        return [task.inputs for task in self._rows["training"]]

    @property
    def column_widths(self) -> list[int]:
        """How many features each column has."""
        return [column.width for column in self.prepared.encoder.columns]

    @property
    def max_ways(self) -> int:
        """For labels, those of a task."""
        return self._labelled["training"].ways

    @property
    def max_shots(self) -> int:
        """For labels, the known rows of one that leave others to predict."""
        return self._labelled["training"].max_shots

    def sample(
        self,
        tasks: int,
        examples: int,
        generator: torch.Generator,
        ways: int | None = None,
        split: Split = "training",
    ) -> Samples:
        """Draw tasks with replacement, and rows of each without."""
        if self.kind == "classification":
            drawn = [self._labelled[split].draw(ways or self.targets, examples, generator) for _ in range(tasks)]
            return interleave_classes(torch.stack(drawn))
        rows = self._rows[split]
        chosen = torch.randint(len(rows), (tasks,), generator=generator, device=generator.device).tolist()
        return stack_tasks([self._draw(rows[each], examples, generator) for each in chosen])

    def _draw(self, task: TaskRows, examples: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The first rows of a task where there is an order, else random ones."""
        if self.order:
            rows = torch.arange(min(examples, len(task)))
        else:
            rows = torch.randperm(len(task), generator=generator, device=generator.device)[:examples].cpu()
        inputs, targets = (torch.from_numpy(part)[rows].to(generator.device) for part in (task.inputs, task.targets))
        return inputs, targets

    @property
    def _spec(self) -> TableSpec:
        lists = tuple(self.inputs), tuple(self.categories)
        return TableSpec(self.task, self.target, lists[0], self.order, self.kind, lists[1], self.decimal)

    @cached_property
    def _rows(self) -> dict[Split, list[TaskRows]]:
        return {split: self.prepared.tasks(split) for split in SPLITS}

    @cached_property
    def _labelled(self) -> dict[Split, LabelledTasks]:
        """The rows of each label. Raises DataError where a split has no task with enough labels."""
        ways, min_rows = label_sizes(self.prepared.tasks(), self.target)
        labelled = {split: labelled_tasks(self._rows[split], ways, min_rows) for split in SPLITS}
        if lacking := next((split for split in SPLITS if not labelled[split].rows), None):
            expected = f"a {lacking} task with {ways} labels of {min_rows} rows or more"
            raise DataError(expectation(f"--target {self.target}", expected, "none", "add tasks, or rows to them"))
        return labelled

    def with_prepared(self, prepared: PreparedTable) -> "Table":
        """The same family, which does not read its table again."""
        self.__dict__["prepared"] = prepared  # where `cached_property` keeps it
        return self

    @cached_property
    def prepared(self) -> PreparedTable:
        """The table as it was read. Raises DataError where it cannot be."""
        if self.data is None:
            fix = "name the file or the folder of the table"
            raise DataError(expectation("--data", "the table that the tasks are from", "none", fix))
        try:
            from app.families.tables.read_table import read_table  # needs an extra
        except ImportError as error:
            raise DataError(missing_package("pyarrow", "tables")) from error
        prepared = prepare(read_table(self.data, self.task), self._spec)
        if self.fingerprint not in ("", prepared.fingerprint):
            fix = "name the file that it was trained on, or train again"
            raise DataError(expectation("--data", "the table that the bundle was trained on", "another", fix))
        return prepared


family = Table
