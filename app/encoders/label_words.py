"""The words of labels: `card_arrival` says what its class is about, `A7` and `class 3` do not."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

MIN_LETTERS = 3
"""Letters of a word that says anything."""
WITHOUT_SPACES = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\U0010ffff]")
"""Letters of Thai, Lao, Burmese, Khmer, Chinese, Japanese and Korean."""
CAMEL = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])")
"""Between `card` and `Arrival` in `cardArrival`."""


def label_words(labels: Sequence[str | int | bool]) -> list[str | None]:
    """The words of each label of a task, as a text; None for a label that has none.

    A label has words if it is a string, one of its runs of letters has MIN_LETTERS or more, and no other label of the
    task has the same runs: `class 1` and `class 2` differ in their numbers alone, so neither has words. An underscore,
    a hyphen, and a capital letter inside of a word begin a new one: `card_arrival` and `cardArrival` are `card
    arrival`. Letters of scripts without spaces, such as those of Chinese, say something from 1 on.
    """
    runs = [_runs(each) if isinstance(each, str) else () for each in labels]
    times = Counter(runs)
    return [
        _text(label) if isinstance(label, str) and times[run] == 1 and any(map(_says_something, run)) else None
        for label, run in zip(labels, runs, strict=True)
    ]


def _runs(label: str) -> tuple[str, ...]:
    """The runs of letters of any script, with their accents and vowel signs, in lower case."""
    plain = unicodedata.normalize("NFKC", _text(label))  # wide letters are the same letters
    letters = (each if unicodedata.category(each)[0] in "LM" else " " for each in plain)
    return tuple("".join(letters).casefold().split())


def _says_something(word: str) -> bool:
    return len(word) >= MIN_LETTERS or WITHOUT_SPACES.search(word) is not None


def _text(label: str) -> str:
    """The label as people write words."""
    return " ".join(re.sub(r"[_\-./]+", " ", CAMEL.sub(" ", label)).split())
