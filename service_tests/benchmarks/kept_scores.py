"""Scores of regressors that are kept as files, so that an interrupted comparison goes on where it was."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from hashlib import blake2b
from io import BytesIO
from pathlib import Path

import numpy as np

from app.atomic_write import write_atomically
from app.families.task_rows import TaskRows
from app.training.tables.comparison import Scored, fit_and_score
from app.training.tables.held_out_rows import Protocol, Split
from app.training.tables.regressor import Regressor
from app.training.tables.scores import TaskScores

PARTS = ("held_out", "validation")
NAMES = [field.name for field in fields(TaskScores)]


@dataclass(frozen=True)
class KeptScores:
    """Does what `fit_and_score` does, once for each regressor, split and protocol.

    folder: of a file for each; delete those of a regressor that has changed
    """

    folder: Path

    def __call__(self, regressor: Regressor, split: Split, protocol: Protocol) -> Scored:
        """See `fit_and_score`."""
        name = "".join(letter if letter.isalnum() else "-" for letter in regressor.name)
        file = self.folder / f"{name}-{_fingerprint(split, protocol)}.npz"
        if not file.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(file, _as_bytes(fit_and_score(regressor, split, protocol)))
        with np.load(file, allow_pickle=False) as arrays:
            parts = [TaskScores(*(arrays[f"{part}.{name}"] for name in NAMES)) for part in PARTS]
            return Scored(parts[0], parts[1], float(arrays["seconds"]))


def tasks_digest(tasks: Sequence[TaskRows]) -> str:
    """16 hexadecimal digits that other tasks do not have."""
    digest = blake2b(digest_size=8)
    for task in tasks:
        digest.update(f"{task.name}\0{task.inputs.shape}".encode() + task.inputs.tobytes() + task.targets.tobytes())
    return digest.hexdigest()


def _fingerprint(split: Split, protocol: Protocol) -> str:
    return blake2b(repr(([*map(tasks_digest, split)], protocol)).encode(), digest_size=8).hexdigest()


def _as_bytes(scored: Scored) -> bytes:
    arrays = {f"{part}.{name}": getattr(getattr(scored, part), name) for part in PARTS for name in NAMES}
    buffer = BytesIO()
    np.savez(buffer, allow_pickle=False, seconds=np.array(scored.seconds), **arrays)
    return buffer.getvalue()
