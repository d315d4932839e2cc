"""A table of tasks: rows of patients, shops or machines, with a column that says whose row it is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from app.encoders.encoder import Encoder
from app.errors import DataError, expectation, missing_package
from app.families.family import Description, Samples, Split, stack_tasks
from app.families.table_rows import TaskRows
from app.families.tables.input_columns import unit_of
from app.families.tables.prepared_table import PreparedTable, prepare
from app.families.tables.table_spec import TableSpec
from app.learn.networks import NetworkSpec

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
    classes: for labels, how many there are (0: as the table has)
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
        return self.classes or len(self.prepared.target.labels)

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
        """The name of the target's column."""
        return (self.target,)

    @property
    def target_units(self) -> tuple[str, ...]:
        """The unit in the name of the target's column."""
        return (unit_of(self.target),)

    @property
    def description(self) -> Description:
        """What the columns say; whoever knows more about the table writes it into the card."""
        given = f" from {', '.join(self.inputs)}" if self.inputs else ""
        rows = f"the first rows by {self.order}" if self.order else "a few rows"
        return Description(
            purpose=f"predicts {self.target}{given}, after {rows} of the same {self.task}.",
            not_for=f"Rows of which no other row of the same {self.task} can be like those of training, and tables "
            "whose columns mean something else.",
            data=f"A table with a row for each measurement. The column {self.task} says whose row it is.",
            licence="unknown",
        )

    @property
    def caveat(self) -> str:
        """How few tasks the test split has."""
        count = len(self.prepared.splits["test"])
        return f"All test tasks are drawn from {count} tasks of the table, so the intervals are too narrow"

    def sample(
        self,
        tasks: int,
        examples: int,
        generator: torch.Generator,
        ways: int | None = None,
        split: Split = "training",
    ) -> Samples:
        """Draw tasks with replacement, and rows of each without."""
        rows = self._rows[split]
        chosen = torch.randint(len(rows), (tasks,), generator=generator, device=generator.device).tolist()
        return stack_tasks([self._draw(rows[each], examples, generator) for each in chosen])

    def _draw(self, task: TaskRows, examples: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        count = min(examples, len(task))
        order = (
            torch.arange(count)
            if self.order
            else torch.randperm(len(task), generator=generator, device=generator.device)[:count].cpu()
        )
        parts = (torch.from_numpy(each)[order].to(generator.device) for each in (task.inputs, task.targets))
        inputs, targets = parts
        return inputs, targets

    @cached_property
    def _rows(self) -> dict[Split, list[TaskRows]]:
        splits: tuple[Split, ...] = ("training", "validation", "test")
        return {split: self.prepared.tasks(split) for split in splits}

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
        spec = TableSpec(
            self.task, self.target, tuple(self.inputs), self.order, self.kind, tuple(self.categories), self.decimal
        )
        return prepare(read_table(self.data, self.task), spec)


family = Table
