"""Texts with names of users in them reach the terminal as they are, but for what it would obey."""

import io

from rich.console import Console

from app.training.print_text import print_text


def printed(text: str) -> str:
    stream = io.StringIO()
    print_text(Console(file=stream, width=20), text)
    return stream.getvalue()


def test_control_characters_are_escapes() -> None:
    assert printed("a\x1b[31mred\x07\nb\r") == "a\\x1b[31mred\\x07\nb\\r\n"


def test_brackets_long_lines_and_words_of_emoji_are_as_they_are() -> None:
    text = "[red]x[/red] :smile: " + "long " * 20
    assert printed(text) == f"{text}\n"
