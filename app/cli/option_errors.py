"""Commands that say in plain words what is wrong with the value of an option, where typer has pydantic's words."""

import re
from typing import Any

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

from app.cli.console import expected_of
from app.errors import one_of, shown

CHOICE = re.compile("'(.*?)'")
CHOICES = re.compile(r"Value error, '.*' is not one of (.*)\.", re.DOTALL)


class PlainGroup(TyperGroup):
    """Commands, each perhaps a group of others."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named. Raises BadParameter for the value of an option that it cannot have."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            if isinstance(error.__cause__, ValidationError):
                error.message = _message(error.__cause__)
            raise


def _message(error: ValidationError) -> str:
    part = error.errors(include_url=False)[0]
    if choices := CHOICES.fullmatch(part["msg"]):
        expected = f"expected {one_of(CHOICE.findall(choices[1]))}"
    else:
        expected = expected_of(part).removeprefix("Value error, ")
    return f"{expected}, got {shown(str(part['input']))}"
