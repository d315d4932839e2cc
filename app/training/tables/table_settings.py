"""Everything that decides what training on a table produces."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import app
from app.errors import TrainingError, expectation
from app.families.tables.prepared_table import PreparedTable
from app.families.tables.table_spec import TableSpec

ENSEMBLE = "ensemble"
SUPPORT = (3, 5, 10, 20)
MAX_SUPPORT = 1_000
MAX_DIGITS = 10
ENDINGS = re.compile(r"(\.(csv|tsv|txt|parquet|jsonl|ndjson|json|gz))+$", re.IGNORECASE)


@dataclass(frozen=True)
class TableSettings:
    """What a user says about a table and its model.

    source: a path, or a DataFrame
    support: the numbers of known rows that the model is evaluated at
    algorithm: `ensemble`, `auto`, or another of `app.learn.algorithms` (empty: the one that fits the kind)
    name: of the bundle (empty: that of the file)
    outer_steps: of an algorithm that is trained in outer steps (None: those of the recipe)
    """

    source: Path | Any
    spec: TableSpec
    support: tuple[int, ...] = SUPPORT
    algorithm: str = ""
    name: str = ""
    seed: int = 0
    outer_steps: int | None = None

    def __post_init__(self) -> None:
        """Raise TrainingError for sizes of support sets that cannot be used."""
        sizes = self.support
        if not sizes or any(type(size) is not int or not 1 <= size <= MAX_SUPPORT for size in sizes):
            expected = f"numbers of known rows from 1 to {MAX_SUPPORT}, such as 3,5,10,20"
            raise TrainingError(expectation("--support", expected, ",".join(map(str, sizes)) or "none"))

    @property
    def bundle(self) -> str:
        """The name of the bundle."""
        return self.name or bundle_name(self.source)

    def run_name(self, table: PreparedTable) -> str:
        """The name of the folder of a run: another table or other settings have another."""
        decisive = (table.fingerprint, self.support, self.algorithm, self.seed, self.outer_steps, table.spec.order)
        return blake2b(repr((*decisive, app.__version__)).encode(), digest_size=8).hexdigest()

    @property
    def command(self) -> str:
        """The command line that makes the same bundle again."""
        spec = self.spec
        lists = {"--inputs": spec.inputs, "--categories": spec.categories}
        options = {
            "--table": self.source.name if isinstance(self.source, Path) else "FILE",
            "--task": spec.task,
            "--target": spec.target,
            **{key: ",".join(map(quoted, names)) for key, names in lists.items()},
            "--order": spec.order,
            "--kind": spec.kind,
            "--decimal": spec.decimal,
            "--support": "" if self.support == SUPPORT else ",".join(map(str, self.support)),
            "--algorithm": self.algorithm,
            "--name": self.name,
            "--seed": self.seed or "",
            "--outer-steps": self.outer_steps or "",
        }
        words = [str(word) for key, value in options.items() if value != "" for word in (key, value)]
        return shlex.join(["innerloop", "train", *words])


def bundle_name(source: Path | Any) -> str:
    """The name of a file without its endings, with what a bundle's name cannot have replaced by -."""
    if not isinstance(source, Path):
        return "table"
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", ENDINGS.sub("", source.name))
    return re.sub(r"^[^A-Za-z0-9]+", "", stem) or "table"


def quoted(name: str) -> str:
    """A name for a list of names: in quotes if it has a comma or a quote."""
    return '"' + name.replace('"', '""') + '"' if "," in name or '"' in name else name


def split_names(text: str | None, option: str) -> tuple[str, ...]:
    """`A,B` as ("A", "B"). A name with a comma is in double quotes, as in CSV.

    Raises TrainingError where a name is empty.
    """
    import csv

    try:
        names = [] if not text else [name.strip() for name in next(csv.reader([text], skipinitialspace=True))]
    except csv.Error:  # a line break outside of quotes
        names = [""]
    if "" in names:
        raise TrainingError(expectation(option, "names of columns, such as A,B", repr(text)))
    return tuple(names)


def split_sizes(text: str | None) -> tuple[int, ...]:
    """`3,5,10` as (3, 5, 10). Raises TrainingError for other text."""
    if text is None:
        return SUPPORT
    parts: Sequence[str] = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < MAX_DIGITS for part in parts):
        raise TrainingError(expectation("--support", "numbers of known rows, such as 3,5,10,20", repr(text)))
    return tuple(sorted(set(map(int, parts))))
