"""How errors repeat what users have written."""

from app.errors import name_text, names_text, printable_lines


def test_names_that_would_be_misread_are_in_quotes() -> None:
    assert names_text(["age", "blood pressure", "dose [mg]"]) == "age, blood pressure, dose [mg]"
    assert names_text(["a,b", "cat ", 'a "b"']) == '"a,b", "cat ", "a \\"b\\""'


def test_control_characters_in_names_are_escapes() -> None:
    assert name_text("\x1b[31mred\x1b[0m") == '"\\u001b[31mred\\u001b[0m"'
    assert name_text("a\nb") == '"a\\nb"'
    assert name_text("\x9b31m") == '"\\x9b31m"'


def test_long_names_are_cut() -> None:
    assert name_text("a" * 61) == "a" * 60 + "..."
    assert name_text("a," * 31) == '"' + "a," * 30 + '..."'


def test_lines_stay() -> None:
    assert printable_lines("a\nb\x1b[0m\n") == "a\nb\\x1b[0m\n"
