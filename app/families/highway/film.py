"""Episodes as pictures: a strip and an animation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Frames = Sequence[NDArray[np.uint8]]
"""The pictures of an episode, each [row, column, colour]."""
SHOWN = 8
"""Pictures of an episode in a strip."""
COLOURS, FRAME_MS = 32, 200


def strip(before: Frames, after: Frames, file: Path) -> None:
    """Save a PNG: on the left an episode before adapting, on the right one after, both from top to bottom."""
    columns = [np.concatenate([each[place] for place in _even_places(len(each))]) for each in (before, after)]
    gap = np.full((columns[0].shape[0], 12, 3), 255, np.uint8)
    Image.fromarray(np.concatenate([columns[0], gap, columns[1]], axis=1)).save(file, optimize=True)


def animation(before: Frames, after: Frames, file: Path) -> None:
    """Save a GIF: above before adapting, below after. The shorter episode ends with a still picture."""
    pairs = [
        np.concatenate([before[min(place, len(before) - 1)], after[min(place, len(after) - 1)]])
        for place in range(max(len(before), len(after)))
    ]
    shown: list[Any] = [Image.fromarray(each).quantize(COLOURS) for each in pairs]
    shown[0].save(file, save_all=True, append_images=shown[1:], duration=FRAME_MS, loop=0, optimize=True)


def _even_places(count: int) -> list[int]:
    """SHOWN indices, evenly from the first to the last."""
    return [round(place * (count - 1) / (SHOWN - 1)) for place in range(SHOWN)]
