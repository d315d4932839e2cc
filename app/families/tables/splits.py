"""Which tasks are for training, validation and test: by their names, so that a longer file moves few of them."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b

from app.families.family import Split

SHARE = 0.15
"""Of the tasks, for test; as many are for validation."""
FEW_TASKS = 20
"""With fewer tasks, one split says little: figures then come from cross-validation over all tasks."""


def split_tasks(names: Sequence[str]) -> Mapping[Split, list[str]]:
    """The tasks of each split, in the order of their hashes.

    The first SHARE of the hashes are for test, the next SHARE for validation. A task that is added later moves at most
    two others.
    """
    ranked = sorted(names, key=hash_of)
    held_out = max(1, round(SHARE * len(ranked)))
    return {
        "test": ranked[:held_out],
        "validation": ranked[held_out : 2 * held_out],
        "training": ranked[2 * held_out :],
    }


def hash_of(name: str) -> bytes:
    """What a task is ranked by: the same on every machine."""
    return blake2b(name.encode(), digest_size=16).digest()
