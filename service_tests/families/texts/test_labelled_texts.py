"""Reading texts with their labels from files: what is no text is refused with its place."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from app.errors import DataError
from app.families.texts.labelled_texts import MIN_TEXTS, read_texts

pytest.importorskip("pyarrow", reason="an extra: pip install 'innerloop-server[text]'")


def write_lines(file: Path, rows: list[tuple[Any, Any]]) -> Path:
    file.write_text("".join(json.dumps({"message": text, "topic": label}) + "\n" for text, label in rows))
    return file


def rows(label: Any) -> list[tuple[Any, Any]]:
    return [(f"text {index}", label) for index in range(MIN_TEXTS)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((["stop"], "a"), "message: expected a text, got an array: write a string, or leave the row out"),
        ((5, "a"), "message: expected a text, got 5: write a string"),
        ((True, "a"), "message: expected a text, got true: write a string"),
        (("\ud800", "a"), "message: expected a text in Unicode, got half of a surrogate pair: correct it, or leave"),
        (("\u200b", "a"), "message: expected a text, got one of control characters: correct it, or leave the row out"),
        (("stop", ["a"]), "topic: expected a label, got an array: write a text, a whole number, true or false"),
        (("stop", {"a": 1}), "topic: expected a label, got an object: write"),
        (("stop", 1.5), "topic: expected a label, got 1.5: write"),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_line(row: tuple[Any, Any], message: str, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "odd.jsonl", [*rows("a"), row])
    with pytest.raises(DataError, match=f"^{re.escape(f'odd.jsonl, line {MIN_TEXTS + 1}, {message}')}"):
        read_texts(file, "message", "topic")


def test_numbers_of_a_frame_are_no_texts() -> None:
    with pytest.raises(DataError, match=r"^the table, row 1, message: expected a text, got 0: write a string"):
        read_texts({"message": [0, 1, 2], "topic": ["a"] * 3}, "message", "topic")


def test_rows_without_a_text_or_a_label_are_left_out(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "gaps.jsonl", [*rows("a"), (None, "a"), (" ", "a"), ("stop", None)])
    assert {name: len(texts) for name, texts in read_texts(file, "message", "topic").texts.items()} == {"a": MIN_TEXTS}


def test_whole_numbers_are_labels() -> None:
    texts = [f"text {index}" for index in range(2 * MIN_TEXTS)]
    labels = [1, 2] * MIN_TEXTS
    assert [*read_texts({"message": texts, "topic": labels}, "message", "topic").texts] == ["1", "2"]
    assert [*read_texts({"message": texts, "topic": [*labels[:-1], None]}, "message", "topic").texts] == ["1"]


def test_true_and_the_text_that_python_writes_for_it_are_two_labels(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "two.jsonl", [*rows(True), *rows("True")])
    assert [*read_texts(file, "message", "topic").texts] == ["true", "True"]
