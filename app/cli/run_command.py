"""Running a command: an error is one line on stderr, with exit code 1. Typer prints those of options, with code 2."""

import sys
from pathlib import Path

import typer
from pydantic import ValidationError

from app.cli.console import print_error
from app.errors import InnerloopError


def run(cli: typer.Typer) -> None:
    """Run the command that was named."""
    # at the end, after what is installed: networks of your own are found by module name, as with `python -m`
    sys.path.append(str(Path.cwd()))
    try:
        cli()
    except (InnerloopError, ValidationError) as error:
        print_error(error)
        raise SystemExit(1) from error
