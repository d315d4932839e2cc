"""What a server says of a request, in the words of the command line."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

WORDS = {
    "path.name": "MODEL",
    "model": "MODEL",
    "query.model": "--model",
    "adaptation_id": "ID",
    "steps": "--steps",
    "learning_rate": "--learning-rate",
    "label_names": "--label-names",
    "ttl_s": "--ttl",
    "label": "--label",
    "assess": "--assess",
    "interval": "--interval",
    "pinned": "--pinned",
    "Accept": "--json",
}
"""The fields of a request and the arguments of the command line that they come from."""
WHOLE = re.compile(r"body|support|(support\.)?(rows|inputs|targets|episodes|queries)")
"""The places of all that is in a file."""
ROW = re.compile(r"(?:support\.)?(rows|inputs|targets|episodes|queries)\[(\d+)\](?:\[(\d+)\])?\.?(.*)", re.DOTALL)
"""The place of a value in a row of a body."""
OPTION = re.compile(r"\b(leave|with|larger) (steps|learning_rate|label_names|ttl_s|assess|interval)\b")
"""A field in a sentence. Alone, it may as well be the name of a column."""
PHRASES: Mapping[str, str] = {
    'predict with `"pinned": false`, which adapts the current version': "adapt again",
    "in JSON or msgpack": "as JSON lines or Parquet",
    "within X-Timeout-Ms: send a larger X-Timeout-Ms, or fewer": "in time: send fewer",
    "got an empty body": "got an empty file",
    "expected application/json, got text/csv": "expected this option, got none",
}
"""What only a program can do, and what to do with the commands instead."""


@dataclass(frozen=True)
class Source:
    """The file that the examples or queries of a request come from.

    file: its name
    line: what the row of a number is in the file
    names: the columns that were renamed: the server's name to the user's
    columns: the columns whose order alone the server knows, for `inputs`, `targets` and `queries`
    phrases: what the server says with the names of renamed columns, and what to say instead
    """

    file: str
    line: Callable[[int], str] = "row {}".format
    names: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    phrases: Mapping[str, str] = field(default_factory=dict)

    def place(self, place: str) -> str:
        """A place in a body as an argument, the file, or a line of it."""
        if word := WORDS.get(place) or WORDS.get(place.removeprefix("query.")):
            return word
        if WHOLE.fullmatch(place):
            return self.file
        if row := ROW.fullmatch(place):
            with suppress(IndexError):  # another server may name a row that the file lacks
                return self._row(*row.groups())
        line, comma, name = place.partition(", ")
        return f"{line}{comma}{self.names.get(name, name)}"

    def _row(self, group: str, index: str, number: str | None, rest: str) -> str:
        known = self.columns.get(group, ())
        if number is not None:
            rest = (known[int(number)] if int(number) < len(known) else f"[{number}]") + rest
        elif rest.startswith('["') and rest.endswith('"]'):
            rest = json.loads(rest)[0]
        elif len(known) == 1:
            rest = known[0]
        return self.line(int(index)) + (f", {self.names.get(rest, rest)}" if rest else "")


NO_FILE = Source("FILE")


def command_line_words(source: Source, detail: str, place: str) -> str:
    """What a server says, with the arguments of the command line instead of the fields of a request.

    detail: the sentence; place: the field that it begins with, if it is one
    """
    place = place or "body"
    before, rest = "", detail
    if detail.startswith(f"{place}: "):
        before, rest = source.place(place), detail.removeprefix(place)
    for phrase, words in {**PHRASES, **source.phrases}.items():
        rest = rest.replace(phrase, words)
    return before + OPTION.sub(lambda match: f"{match[1]} {WORDS[match[2]]}", rest)
