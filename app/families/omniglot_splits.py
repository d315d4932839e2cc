"""Which characters of Omniglot are for training, for validation and for tests."""

from collections.abc import Mapping

import torch

from app.families.family import Split
from app.families.omniglot_archives import CHARACTERS

SHUFFLE_SEED = 0


def characters(cut: str) -> Mapping[Split, list[int]]:
    """The characters of each split, counted from 0."""
    if cut == "random":
        order = torch.randperm(CHARACTERS, generator=torch.Generator().manual_seed(SHUFFLE_SEED)).tolist()
        return {"training": order[:1100], "validation": order[1100:1200], "test": order[1200:]}
    return {"training": [*range(1059)], "validation": [*range(1059, 1159)], "test": [*range(1200, CHARACTERS)]}
