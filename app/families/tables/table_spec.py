"""What a user says about a table."""

from dataclasses import dataclass, replace

from app.errors import DataError, expectation, shown
from app.families.tables.raw_table import RawTable, plain_name
from app.families.tables.task_folder import FILE


@dataclass(frozen=True)
class TableSpec:
    """Which columns are what.

    task: whose row it is
    target: what is to be predicted
    inputs: what it is predicted from (empty: all other columns that can be used)
    order: the column by which the rows of a task are sorted, for a forecast from the first (empty: no order)
    kind: `regression` or `classification` (empty: as the target looks)
    categories: columns of numbers that are codes of categories
    decimal: `.` or `,`, where numbers could be read in two ways
    """

    task: str
    target: str
    inputs: tuple[str, ...] = ()
    order: str = ""
    kind: str = ""
    categories: tuple[str, ...] = ()
    decimal: str = ""


def check_spec(spec: TableSpec, raw: RawTable) -> TableSpec:
    """The specification with the task that a folder's files name. Raises DataError for columns that do not fit."""
    spec = _plain_names(spec)
    task = spec.task or (FILE if FILE in raw.columns and raw.form.startswith("a folder") else "")
    if not task:
        fix = "name the column that says whose row it is"
        raise DataError(expectation("--task", "a column", "none", f"{fix}: {', '.join(raw.columns)}"))
    if not spec.target:
        fix = "name the column to predict"
        raise DataError(expectation("--target", "a column", "none", f"{fix}: {', '.join(raw.columns)}"))
    raw.check_has("--task", task)
    raw.check_has("--target", spec.target)
    if spec.target == task:
        raise DataError(expectation("--target", "another column than --task", shown(task)))
    for name in spec.inputs:
        raw.check_has("--inputs", name)
    for name in spec.categories:
        raw.check_has("--categories", name)
    _check_inputs(spec, task)
    if spec.order:
        raw.check_has("--order", spec.order)
        if spec.order in (task, spec.target):
            role = "--task" if spec.order == task else "--target"
            raise DataError(expectation("--order", f"another column than {role}", shown(spec.order)))
    if spec.kind not in ("", "regression", "classification"):
        raise DataError(expectation("--kind", "regression or classification", shown(spec.kind)))
    if spec.decimal not in ("", ".", ","):
        raise DataError(expectation("--decimal", "one of . or ,", shown(spec.decimal)))
    return TableSpec(task, spec.target, spec.inputs, spec.order, spec.kind, spec.categories, spec.decimal)


def _plain_names(spec: TableSpec) -> TableSpec:
    """With names as those of the columns are (`plain_name`)."""
    return replace(
        spec,
        task=plain_name(spec.task),
        target=plain_name(spec.target),
        order=plain_name(spec.order),
        inputs=tuple(map(plain_name, spec.inputs)),
        categories=tuple(map(plain_name, spec.categories)),
    )


def _check_inputs(spec: TableSpec, task: str) -> None:
    twice = next((name for index, name in enumerate(spec.inputs) if name in spec.inputs[:index]), None)
    if twice is not None:
        raise DataError(expectation("--inputs", "each column once", f"{shown(twice)} twice"))
    if spec.target in spec.inputs:
        fix = "leave it out, as it is what is to be predicted"
        raise DataError(expectation("--inputs", f"columns other than the target {spec.target}", spec.target, fix))
    if task in spec.inputs:
        fix = "leave it out, as a new task has a name that training has not seen"
        raise DataError(expectation("--inputs", f"columns other than the task {task}", task, fix))
