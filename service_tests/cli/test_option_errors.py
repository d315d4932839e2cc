"""What is wrong with the value of an option is in our words, with the value, and not in those of pydantic."""

import re

import pytest

from app.cli import client_commands
from service_tests.cli.commands import innerloop


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("adapt a FILE --assess x", 'expected one of leave_one_out, k_fold, got "x"'),
        ("adapt a FILE --steps -1", 'expected at least 0, got "-1"'),
        ("adapt a FILE --steps x", 'expected a whole number, got "x"'),
        ("adapt a FILE --learning-rate x", 'expected a number, got "x"'),
        ("adapt a FILE --ttl x", 'expected a time such as 7d, 12h, 30m or 3600 (seconds), got "x"'),
        ("predict a FILE --interval x", 'expected a number, got "x"'),
        ("adaptations ls --limit 0", 'expected at least 1, got "0"'),
        (f"adaptations ls --limit {'9' * 5000}", 'expected a whole number of fewer digits, got "999'),
        ("drive --world 40", 'expected at most 39, got "40"'),
        ("collect x", 'expected driving, got "x"'),
        ("try --seed 99999999999999999999", 'expected at most 9223372036854775807, got "99999999999999999999"'),
        ("navigate --seed 9223372036854775808", "expected at most 9223372036854775807, got "),
        ("train --seed 9223372036854775808", "expected at most 9223372036854775807, got "),
        ("try --seed -1", 'expected at least 0, got "-1"'),
        ("navigate --seed -1", 'expected at least 0, got "-1"'),
        ("adapt a FILE --ttl \u096dd", "expected a time such as 7d, 12h, 30m or 3600 (seconds), got "),
        ("adapt a FILE --steps \u096d", "expected a whole number, got "),
        *(
            (f"{words} {10**23}", "expected at most ")
            for words in (
                "navigate --worlds",
                "navigate --episodes",
                "navigate --stages",
                "drive --episodes",
                "drive --demonstrations",
                "evaluate a --tasks",
                "evaluate a --shots",
                "evaluate a --ways",
                "evaluate a --steps",
                "value a FILE --support",
                "value a FILE --steps",
                "try --shots",
                "try --steps",
                "train --outer-steps",
                "train --threads",
                "compare sinusoid --outer-steps",
                "adapt a FILE --steps",
                *(
                    f"bundle a --network mlp --weights FILE --{each}"
                    for each in ("steps", "max-steps", "features", "targets", "shape")
                ),
            )
        ),
        (f"adapt a FILE --ttl {'9' * 5000}", 'expected a time such as 7d, 12h, 30m or 3600 (seconds), got "99'),
        ("serve --port 70000", 'expected at most 65535, got "70000"'),
    ],
)
def test_the_value_of_an_option(words: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    result = innerloop(*words.split(" "))
    assert (result.returncode, result.stdout) == (2, "")
    assert re.search(r"Invalid value for '[^']*': " + re.escape(message), result.stderr), result.stderr
    assert "Input should" not in result.stderr


def test_the_commands_without_torch_have_the_same_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["innerloop", "adapt", "a", "FILE", "--steps", "-1"])
    with pytest.raises(SystemExit):
        client_commands.main()
    assert "expected at least 0" in capsys.readouterr().err
