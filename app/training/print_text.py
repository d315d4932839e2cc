"""Printing what names of users are in: of columns, tasks and labels."""

from rich.console import Console

from app.errors import printable_lines


def print_text(console: Console, text: str) -> None:
    """Print a text as it is: brackets are no markup, no line is broken, and control characters are escapes."""
    console.print(printable_lines(text), markup=False, highlight=False, emoji=False, soft_wrap=True)
