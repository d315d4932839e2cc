"""Reading people's risky choices: 30 people, each under two instructions with about 140 gambles.

Sokol-Hessner et al. 2009, "Thinking like a trader selectively reduces individuals' loss aversion", as the R and Python
package hBayesDM ships them (GPL-3). A gamble wins `gain` or loses `loss` dollars with even odds; refusing it pays
`cert`.
"""

import csv
import gzip
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch

from app.errors import DataError, cause_text, expectation, path_text
from app.learn.shape_annotations import Bool, Float

SOURCE = "https://github.com/CCS-Lab/hBayesDM/tree/develop/commons/extdata"
CONDITIONS = ("attend", "reappraisal")
"""To see each gamble alone, or as one of many as a trader would. The same people did both: the shares of gambles that a
person accepts under the two instructions have a correlation of .94."""


class Sitting(NamedTuple):
    """The decisions of one person under one instruction, in their order.

    offers: gain, loss (at most 0) and guaranteed amount, in dollars
    accepted: whether each gamble was accepted
    """

    person: int
    condition: str
    offers: Float[torch.Tensor, "decision 3"]
    accepted: Bool[torch.Tensor, " decision"]


def read(folder: Path | None) -> list[Sitting]:
    """All sittings, by condition and person. Raises DataError where they are not in `folder`."""
    if folder is None:
        raise DataError(expectation("--data", "the folder of the decisions", "none", _fix()))
    return [sitting for condition in CONDITIONS for sitting in _sittings(condition, _rows(folder, condition))]


def _rows(folder: Path, condition: str) -> list[Mapping[str, str]]:
    """The rows of a condition's table, from the package's file or from a packed copy of it."""
    packed, plain = folder / f"risky_choice_{condition}.tsv.gz", folder / f"ra_data_{condition}.txt"
    try:
        content = gzip.decompress(packed.read_bytes()) if packed.exists() else plain.read_bytes()
        return list(csv.DictReader(content.decode().splitlines(), delimiter="\t"))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        file = packed if packed.exists() else plain
        raise DataError(expectation(path_text(file), "a file that can be read", cause_text(error), _fix())) from error


def _sittings(condition: str, rows: Iterable[Mapping[str, str]]) -> list[Sitting]:
    by_person: dict[int, list[tuple[float, float, float, float]]] = {}
    try:
        for row in rows:
            # some copies have losses as positive amounts
            offer = (float(row["gain"]), -abs(float(row["loss"])), float(row["cert"]), float(row["gamble"]))
            by_person.setdefault(int(row["subjID"]), []).append(offer)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            expectation(f"table {condition}", "numbers in gain, loss, cert, gamble and subjID", repr(error), _fix())
        ) from error
    tables = {person: torch.tensor(each) for person, each in sorted(by_person.items())}
    return [Sitting(person, condition, table[:, :3], table[:, 3] > 0) for person, table in tables.items()]


def _fix() -> str:
    files = " and ".join(f"ra_data_{each}.txt" for each in CONDITIONS)
    return f"put {files} from {SOURCE} into the folder, and name it with --data"
