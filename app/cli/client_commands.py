"""The commands that only ask a server. They start without PyTorch, whose import takes seconds."""

import sys
from pathlib import Path

import typer
from pydantic import ValidationError

from app.cli.adapt import adapt, predict
from app.cli.adaptations import adaptations
from app.cli.console import print_error
from app.errors import InnerloopError

NAMES = frozenset({"adapt", "predict", "adaptations"})


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    cli.command()(adapt)
    cli.command()(predict)
    cli.add_typer(adaptations, name="adaptations")


def run(cli: typer.Typer) -> None:
    """Run a command. An error is one line on stderr, and exit code 1."""
    # at the end, after what is installed: networks of your own are found by module name, as with `python -m`
    sys.path.append(str(Path.cwd()))
    try:
        cli()
    except (InnerloopError, ValidationError) as error:
        print_error(error)
        raise SystemExit(1) from error


def main() -> None:
    """Run one of these commands."""
    cli = typer.Typer()
    register(cli)
    run(cli)
