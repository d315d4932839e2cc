"""What the commands print to, how they print errors, and the options that several of them share."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from rich.console import Console
from rich.markdown import Markdown

from app.errors import InnerloopError, exact, name_text, printable, shown

console = Console()

Server = Annotated[str | None, typer.Option(help="URL of a running server. Without it, a server runs in this process.")]
Data = Annotated[Path | None, typer.Option(help="Folder of the data set, for a family that reads one.")]
ModelsDir = Annotated[Path, typer.Option(help="Folder of the bundles.", envvar="INNERLOOP_MODELS_DIR")]


def show(markdown: str) -> None:
    """Print Markdown: rendered on a terminal, as it is into a file or a pipe."""
    console.print(Markdown(markdown) if console.is_terminal else markdown, markup=False, soft_wrap=True)


def check_stdout() -> None:
    """Raise InnerloopError if stdout is closed, as by `>&-`, before a command does what it would report there."""
    if sys.stdout is None:
        raise InnerloopError("stdout: cannot write, because it is closed")


def print_result(text: str) -> None:
    """Print what a command is asked for. Raises InnerloopError where stdout cannot be written."""
    check_stdout()
    try:
        typer.echo(text, nl=False)
    except BrokenPipeError:
        raise  # the reader has enough, as `head` does; typer ends the command
    except OSError as error:
        _drop_stdout()
        raise InnerloopError(f"stdout: cannot write {shown(text.rstrip())}: {error.strerror}") from error


def check_written() -> None:
    """Raise InnerloopError if stdout cannot be written. Otherwise it gets an empty line."""
    try:
        typer.echo()
    except OSError as error:
        _drop_stdout()
        raise InnerloopError(f"stdout: cannot write: {error.strerror}") from error


def _drop_stdout() -> None:
    """Write to nothing from here on: otherwise Python tries again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_error(error: Exception) -> None:
    """Print an error as one line on stderr, with its brackets: `[train]` is no markup."""
    message = settings_message(error) if isinstance(error, ValidationError) else str(error)
    Console(stderr=True).print(
        printable(" ".join(message.split())), style="red", markup=False, highlight=False, emoji=False, soft_wrap=True
    )


def settings_message(error: ValidationError) -> str:
    """Each setting that was refused, as its environment variable, with the reason."""
    reasons = []
    for part in error.errors(include_url=False):
        setting = "".join(f"INNERLOOP_{name}".upper() for name in part["loc"])
        if part["type"] == "value_error":  # a check of our own, whose text is whole
            text = part["msg"].removeprefix("Value error, ")
        else:
            text = f"{expected_of(part)}, got {name_text(repr(part['input']))}"
        reasons.append(f"{setting}: {text}" if setting else text)
    return "; ".join(reasons)


def expected_of(error: ErrorDetails) -> str:
    """What pydantic expects of a setting or an option."""
    match error["type"]:
        case "greater_than_equal":
            return f"expected at least {exact(error['ctx']['ge'])}"
        case "less_than_equal":
            return f"expected at most {exact(error['ctx']['le'])}"
        case "float_parsing" | "float_type" | "finite_number":
            return "expected a number"
        case "int_parsing" | "int_type":
            return "expected a whole number"
        case "int_parsing_size":
            return "expected a whole number of fewer digits"
        case "bool_parsing" | "bool_type":
            return "expected true or false"
        case "literal_error":
            return f"expected {error['ctx']['expected']}"
    return error["msg"]
