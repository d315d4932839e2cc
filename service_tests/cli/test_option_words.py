"""What the server says of a request is in the words of the command line."""

import io
from pathlib import Path

import pytest

from app.cli.option_words import Source, command_line_words
from service_tests.api.test_support_rows import LABELLED
from service_tests.cli.commands import innerloop
from service_tests.cli.test_adapt import EXAMPLES, QUERIES, adapted, as_lines, file_of

SOURCE = Source("a.csv", lambda row: f"line {row + 2}", {"target": "stay"}, {"inputs": ["time", "age"]})


@pytest.mark.parametrize(
    ("place", "detail", "said"),
    [
        ("", "body: expected CSV, got an empty body", "a.csv: expected CSV, got an empty file"),
        ("support", "support: expected at most 9 examples, got 10", "a.csv: expected at most 9 examples, got 10"),
        ("queries", "queries: expected at most 9, got 10", "a.csv: expected at most 9, got 10"),
        ("query.label", "query.label: expected a text", "--label: expected a text"),
        ("support.inputs[1][1]", "support.inputs[1][1]: expected 1", "line 3, age: expected 1"),
        ('support.rows[1]["a b"]', 'support.rows[1]["a b"]: expected 1', "line 3, a b: expected 1"),
        ("support.rows[1].target", "support.rows[1].target: expected 1", "line 3, stay: expected 1"),
        ("line 3, target", "line 3, target: expected 1", "line 3, stay: expected 1"),
        (
            "Accept",
            'Accept: expected application/json, got text/csv: 2 columns called "unlike"',
            '--json: expected this option, got none: 2 columns called "unlike"',
        ),
        ("steps", "steps: expected 5, so leave steps out", "--steps: expected 5, so leave --steps out"),
        (
            "interval",
            "interval: adapt with learning_rate 0.1, or leave interval out",
            "--interval: adapt with --learning-rate 0.1, or leave --interval out",
        ),
        (
            "adaptation_id",
            "It expired: adapt again, with a larger ttl_s",
            "It expired: adapt again, with a larger --ttl",
        ),
        ("line 3", "line 3: the columns are steps, ttl_s", "line 3: the columns are steps, ttl_s"),
    ],
)
def test_places_and_sentences(place: str, detail: str, said: str) -> None:
    assert command_line_words(SOURCE, detail, place) == said


def test_a_file_is_called_by_its_name(asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = adapted("sinusoid", file_of(tmp_path, EXAMPLES), "--target", "y")
    cases = {
        "time\n": "expected at least 1 row after the names of the columns, got 0",
        "time\na\0b\n": "expected CSV in UTF-8, got the byte 0x00 at 6: save the file as UTF-8",
        'time\n"1\n': "expected CSV, got a quote that is not closed, in line 2: close it",
    }
    for content, message in cases.items():
        file = file_of(tmp_path, content)
        assert innerloop("predict", key, file).stderr == f"{file}: {message}\n"
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
        assert innerloop("predict", key, "-").stderr == f"stdin: {message}\n"
    file = file_of(tmp_path, as_lines([{**LABELLED[0], "label": label} for label in "abcd"]))
    assert innerloop("adapt", "risks", file).stderr.startswith(f"{file}: expected at most 3 classes for risks, got 4")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(QUERIES.encode())))
    assert innerloop("adapt", "sinusoid", "-").stderr.startswith("--target: stdin has no column called target")
    assert innerloop("predict", key, file_of(tmp_path, QUERIES), "--interval", "0.001").stderr.startswith(
        "--interval: expected "
    )
