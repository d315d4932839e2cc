"""The commands that only ask a server. They start without PyTorch, whose import takes seconds."""

import typer

from app.cli.adapt import adapt, predict
from app.cli.adaptations import adaptations
from app.cli.exit_status import run
from app.cli.option_errors import PlainGroup

NAMES = frozenset({"adapt", "predict", "adaptations"})


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    cli.command()(adapt)
    cli.command()(predict)
    cli.add_typer(adaptations, name="adaptations")


def main() -> None:
    """Run one of these commands."""
    cli = typer.Typer(cls=PlainGroup)
    register(cli)
    run(cli)
