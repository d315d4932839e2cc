"""`innerloop train --table`: its options, and what it does with them."""

from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console

from app.errors import TrainingError, expectation
from app.families.tables.table_spec import TableSpec
from app.training.tables.table_settings import TableSettings, split_names, split_sizes
from app.training.tables.train_table import run_table

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""
PANEL = "Your own table"

TableFile = Annotated[
    Path | None,
    typer.Option(
        help="Train on a table of your own: CSV, Parquet, JSON lines, or a folder with a file for each task. Replaces "
        "the family.",
        rich_help_panel=PANEL,
    ),
]
TaskColumn = Annotated[
    str | None,
    typer.Option(
        help="Column that says whose row it is, such as patient. By default the name of the file, for a folder.",
        rich_help_panel=PANEL,
    ),
]
TargetColumn = Annotated[str | None, typer.Option(help="Column to predict.", rich_help_panel=PANEL)]
InputColumns = Annotated[
    str | None,
    typer.Option(
        help="Columns to predict it from, such as age,dose; by default all others that can be used.",
        rich_help_panel=PANEL,
    ),
]
OrderColumn = Annotated[
    str | None,
    typer.Option(
        help="Column that sorts the rows of a task: the model then learns to forecast later rows from the first.",
        rich_help_panel=PANEL,
    ),
]
TableKind = Annotated[
    str | None,
    typer.Option(help="regression or classification; by default as the target looks.", rich_help_panel=PANEL),
]
CodeColumns = Annotated[
    str | None,
    typer.Option(help="Columns of numbers that are codes of categories, such as ward,zip.", rich_help_panel=PANEL),
]
DecimalMark = Annotated[
    str | None,
    typer.Option(help="Decimal mark of the numbers, . or a comma, where both are possible.", rich_help_panel=PANEL),
]
SupportSizes = Annotated[
    str | None,
    typer.Option(
        help="Numbers of known rows that the model is evaluated at; by default 3,5,10,20.", rich_help_panel=PANEL
    ),
]


class TableWords(NamedTuple):
    """The options of a table as they stand on the command line."""

    task: str | None
    target: str | None
    inputs: str | None
    order: str | None
    kind: str | None
    categories: str | None
    decimal: str | None
    support: str | None

    def check_table(self) -> None:
        """Raise TrainingError where one of them is given without a table."""
        given = next((name for name, value in self._asdict().items() if value is not None), None)
        if given is not None:
            fix = "name the file of your table"
            raise TrainingError(expectation("--table", f"a file, as --{given} is about a table", "none", fix))


def settings_of(
    table: Path,
    words: TableWords,
    *,
    name: str | None,
    algorithm: str | None,
    seed: int | None,
    outer_steps: int | None,
) -> TableSettings:
    """What the command line says. Raises TrainingError where a list cannot be read."""
    spec = TableSpec(
        task=words.task or "",
        target=words.target or "",
        inputs=split_names(words.inputs, "--inputs"),
        order=words.order or "",
        kind=words.kind or "",
        categories=split_names(words.categories, "--categories"),
        decimal=words.decimal or "",
    )
    sizes = split_sizes(words.support)
    return TableSettings(table, spec, sizes, algorithm or "", name or "", seed or 0, outer_steps)


def train_on_table(settings: TableSettings, models_dir: Path, runs_dir: Path, console: Console, *, fresh: bool) -> None:
    """Run the command. After Ctrl-C it says how to continue, with the exit code 130."""
    try:
        run_table(settings, models_dir, runs_dir, console, fresh=fresh)
    except KeyboardInterrupt:
        console.print("interrupted: run the same command again to continue")
        raise typer.Exit(INTERRUPTED) from None
