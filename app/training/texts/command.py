"""`innerloop train --texts`: its options, and what it does with them."""

from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console

from app.encoders.sentences.model_files import DEFAULT
from app.errors import TrainingError, expectation
from app.training.tables.table_settings import split_names
from app.training.texts.text_settings import TextSettings
from app.training.texts.train_texts import run_texts

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""
PANEL = "Your own texts"

TextsFile = Annotated[
    Path | None,
    typer.Option(
        help="Train on texts of your own with labels: CSV, Parquet or JSON lines. Replaces the family.",
        rich_help_panel=PANEL,
    ),
]
TextColumn = Annotated[str | None, typer.Option(help="Column of the texts.", rich_help_panel=PANEL)]
LabelColumn = Annotated[str | None, typer.Option(help="Column of the labels.", rich_help_panel=PANEL)]
LeaveOut = Annotated[
    str | None,
    typer.Option(
        help="Labels that are no classes of their own, such as other,unknown; their rows are left out.",
        rich_help_panel=PANEL,
    ),
]


SentenceModel = Annotated[
    str | None,
    typer.Option(
        help="Sentence model: a folder, or the name of one that was downloaded; by default that of the extra text.",
        rich_help_panel=PANEL,
    ),
]


class TextWords(NamedTuple):
    """The options of texts as they stand on the command line."""

    text: str | None
    label: str | None
    leave_out: str | None
    sentence_model: str | None

    def check_texts(self) -> None:
        """Raise TrainingError where one of them is given without texts."""
        given = next((name for name, value in self._asdict().items() if value is not None), None)
        if given is not None:
            option = f"--{given.replace('_', '-')}"
            fix = "name the file of your texts"
            raise TrainingError(expectation("--texts", f"a file, as {option} is about texts", "none", fix))


def settings_of(
    texts: Path, words: TextWords, *, name: str | None, seed: int | None, outer_steps: int | None
) -> TextSettings:
    """What the command line says. Raises TrainingError where a column is missing."""
    for option, column in (("--text", words.text), ("--label", words.label)):
        if column is None:
            raise TrainingError(expectation(option, f"a column of {texts.name}", "none"))
    return TextSettings(
        texts,
        words.text or "",
        words.label or "",
        split_names(words.leave_out, "--leave-out"),
        words.sentence_model or DEFAULT,
        name or "",
        seed or 0,
        outer_steps,
    )


def train_on_texts(settings: TextSettings, models_dir: Path, runs_dir: Path, console: Console, *, fresh: bool) -> None:
    """Run the command. After Ctrl-C it says how to continue, with the exit code 130."""
    try:
        run_texts(settings, models_dir, runs_dir, console, fresh=fresh)
    except KeyboardInterrupt:
        console.print("interrupted: run the same command again to continue")
        raise typer.Exit(INTERRUPTED) from None
