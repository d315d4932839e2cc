"""Texts with labels, made up of the words that small sentence models know."""

import random
from pathlib import Path
from typing import Any

from service_tests.sentence_models import LETTERS

TEXTS = 24
"""Of each label."""


def made_up_texts(labels: int = 30) -> list[tuple[str, str]]:
    """(text, label) of labels `aa topic`, `bb topic`...: each has two words of its own, among words that all share."""
    drawn = random.Random(0)
    rows = []
    for index in range(labels):
        letter, other = LETTERS[index % 26], LETTERS[(index * 7 + index // 26 + 1) % 26]
        own = [letter * 3 + other, other * 2 + letter * 2]
        for _ in range(TEXTS):
            shared = drawn.choices(["the", "my", "please", "today", "is"], k=2)
            words = [*own, *shared]
            drawn.shuffle(words)
            rows.append((" ".join(words), f"{own[0]}_topic"))
    return rows


def write_csv(file: Path, rows: list[tuple[str, str]]) -> Path:
    file.write_text("message,topic\n" + "".join(f"{text},{label}\n" for text, label in rows))
    return file


def options(model: Path) -> dict[str, Any]:
    """Of the family `text`."""
    return {"text": "message", "label": "topic", "model": str(model)}


def shuffled(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The same texts with labels that say nothing about them."""
    labels = [label for _, label in rows]
    random.Random(0).shuffle(labels)
    return [(text, label) for (text, _), label in zip(rows, labels, strict=True)]
