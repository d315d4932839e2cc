"""What a check has found."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

Mark = Literal["ok", "warning", "problem"]
MARKS: tuple[Mark, ...] = ("ok", "warning", "problem")
"""From the best to the worst."""


class Finding(NamedTuple):
    """The result of a check.

    part: what was checked
    message: what was found and, for a warning or a problem, what to do about it
    """

    part: str
    mark: Mark
    message: str


def worst(findings: Iterable[Finding]) -> Mark:
    """The worst mark; ok if there are no findings."""
    return max((finding.mark for finding in findings), key=MARKS.index, default="ok")


def size_text(count: int) -> str:
    """A number of bytes in MiB, or from 1 GiB on in GiB."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
