"""What the commands print to, and the options that several of them have."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown

console = Console()

Server = Annotated[str | None, typer.Option(help="URL of a running server; without it, in this process.")]
Data = Annotated[Path | None, typer.Option(help="The folder of the family's data set, where it reads one.")]
ModelsDir = Annotated[Path, typer.Option(help="The folder of the bundles.", envvar="INNERLOOP_MODELS_DIR")]


def show(markdown: str) -> None:
    """Print Markdown: set out on a terminal, as it is into a file or a pipe."""
    console.print(Markdown(markdown) if console.is_terminal else markdown, markup=False, soft_wrap=True)
