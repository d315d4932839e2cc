"""The command `innerloop`: registers its subcommands and runs them."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

import app
from app.cli.adapt import adapt, predict
from app.cli.adaptations import adaptations
from app.cli.bundles import bundle, calibrate, models
from app.cli.compare import compare
from app.cli.console import console, print_error
from app.cli.doctor import doctor
from app.cli.evaluate import evaluate, value
from app.cli.navigate_and_drive import collect, drive, navigate
from app.cli.serve import serve
from app.cli.try_bundle import try_bundle
from app.errors import InnerloopError
from app.train import train

cli = typer.Typer(no_args_is_help=True)
cli.command()(serve)
cli.command()(models)
cli.command()(adapt)
cli.command()(predict)
cli.add_typer(adaptations, name="adaptations")
cli.command()(train)
cli.command()(compare)
cli.command()(evaluate)
cli.command()(value)
cli.command()(calibrate)
cli.command()(bundle)
cli.command(name="try")(try_bundle)
cli.command()(navigate)
cli.command()(drive)
cli.command()(collect)
cli.command()(doctor)


def print_version(value: bool) -> None:
    """Print the version and exit, if `--version` is given."""
    if value:
        console.print(f"innerloop {app.__version__}", highlight=False)
        raise typer.Exit


@cli.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Serve, train and evaluate models that learn from a handful of examples."""


def main() -> None:
    """Run the command. An error is one line on stderr, and exit code 1."""
    # at the end, after what is installed: networks of your own are found by module name, as with `python -m`
    sys.path.append(str(Path.cwd()))
    try:
        cli()
    except (InnerloopError, ValidationError) as error:
        print_error(error)
        raise SystemExit(1) from error
