"""Running a command: an error is one line on stderr, with exit code 1. Typer prints those of options, with code 2."""

import errno
import os
import sys
from pathlib import Path

import typer
from pydantic import ValidationError

from app.cli.console import check_written, print_error
from app.errors import InnerloopError, path_text


def run(cli: typer.Typer) -> None:
    """Run the command that was named."""
    # at the end, after what is installed: networks of your own are found by module name, as with `python -m`
    sys.path.append(str(Path.cwd()))
    try:
        _run(cli)
    except (InnerloopError, ValidationError) as error:
        print_error(error)
        raise SystemExit(1) from error


def _run(cli: typer.Typer) -> None:
    try:
        cli()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # of an argument, in whatever command
            path = path_text(Path(os.fsdecode(error.filename or "")))
            raise InnerloopError(f"{path}: cannot use this path: {error.strerror}") from error
        if error.filename is None:  # of an open file, which does not say whether it is stdout
            check_written()
        raise
