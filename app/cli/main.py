"""The command `innerloop`: registers its subcommands and runs them."""

from typing import Annotated

import typer

import app
from app.cli.bundles import bundle, calibrate, models
from app.cli.client_commands import register
from app.cli.compare import compare
from app.cli.console import console
from app.cli.doctor import doctor
from app.cli.evaluate import evaluate, value
from app.cli.exit_status import run
from app.cli.navigate_and_drive import collect, drive, navigate
from app.cli.option_errors import PlainGroup
from app.cli.serve import serve
from app.cli.try_bundle import try_bundle
from app.train import train

cli = typer.Typer(cls=PlainGroup, no_args_is_help=True)
cli.command()(serve)
cli.command()(models)
register(cli)
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
    """Run the command that was named."""
    run(cli)
