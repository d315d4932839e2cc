"""Reading Omniglot: images of 1,623 characters, each drawn once by 20 people. Lake et al. 2015.

(c) 2015 Brenden Lake, MIT licence. A folder has either the two official archives or the same images as arrays,
`images_background.npz` and `images_evaluation.npz`: `images`, bool [character, 20, 105, 105], true for paper.
"""

from collections.abc import Iterator
from io import BytesIO
from itertools import groupby
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile

import numpy as np
import torch
from torch import Tensor

from app.errors import DataError, cause_text, expectation, path_text
from app.learn.shape_annotations import Float

SOURCE = "https://github.com/brendenlake/omniglot/tree/master/python"
PARTS = ("images_background", "images_evaluation")
CHARACTERS, SIDE, PEOPLE = 1623, 28, 20
MAX_CHARACTERS = 100
"""Characters that are shrunk at once: bounds the memory."""

ALPHABETS = (
    # images_background: 964 characters
    "Arcadian", "Armenian", "Asomtavruli_(Georgian)", "Balinese", "Bengali",
    "Blackfoot_(Canadian_Aboriginal_Syllabics)", "Braille", "Cyrillic", "Early_Aramaic", "Syriac_(Estrangelo)",
    "Anglo-Saxon_Futhorc", "Futurama", "Grantha", "Greek", "Gujarati", "Hebrew", "Japanese_(hiragana)",
    "Inuktitut_(Canadian_Aboriginal_Syllabics)", "Malay_(Jawi_-_Arabic)", "Japanese_(katakana)", "Korean", "Latin",
    "Alphabet_of_the_Magi", "Mkhedruli_(Georgian)", "Burmese_(Myanmar)", "N_Ko",
    "Ojibwe_(Canadian_Aboriginal_Syllabics)", "Sanskrit", "Tagalog", "Tifinagh",
    # images_evaluation: 659 characters
    "Angelic", "Atemayar_Qelisayer", "Atlantean", "Aurek-Besh", "Avesta", "Ge_ez", "Glagolitic", "Gurmukhi", "Kannada",
    "Keble", "Malayalam", "Manipuri", "Mongolian", "Old_Church_Slavonic_(Cyrillic)", "Oriya", "Syriac_(Serto)",
    "Sylheti", "Tengwar", "Tibetan", "ULOG",
)  # fmt: skip
"""In the order in which their characters are counted from 1, which defines the training and the test characters."""


def read(folder: Path | None) -> Float[Tensor, "character person row column"]:
    """The images in the order of ALPHABETS, 28 x 28, from 0 (paper) to 1 (ink).

    Raises DataError where they are not in `folder`.
    """
    if folder is None:
        raise DataError(expectation("--data", "the folder of Omniglot", "none", _fix()))
    images = torch.cat([shrink(piece) for part in PARTS for piece in _pieces(_ink(folder, part))])
    if len(images) != CHARACTERS:
        raise DataError(expectation(str(folder), f"{CHARACTERS} characters", len(images), _fix()))
    return images


def shrink(ink: np.ndarray) -> Float[Tensor, "character person row column"]:
    """Shrink square bool images to 28 x 28: the share of ink in each pixel (exact area average)."""
    weights = area_weights(ink.shape[-1], SIDE)
    return weights @ torch.from_numpy(ink).float() @ weights.T


def area_weights(before: int, after: int) -> Float[Tensor, "after before"]:
    """The share of each of `after` pixels that each of `before` pixels covers, along one axis; rows add up to 1."""
    edges = torch.arange(after + 1, dtype=torch.float64) * before / after
    pixel = torch.arange(before, dtype=torch.float64)
    upper = torch.minimum(edges[1:, None], pixel + 1)
    overlap = (upper - torch.maximum(edges[:-1, None], pixel)).clamp(min=0)
    return (overlap * after / before).float()


def _pieces(ink: np.ndarray) -> Iterator[np.ndarray]:
    return (ink[start : start + MAX_CHARACTERS] for start in range(0, len(ink), MAX_CHARACTERS))


def _ink(folder: Path, part: str) -> np.ndarray:
    """The drawings of one part, bool [character, person, 105, 105]."""
    arrays, archive = folder / f"{part}.npz", folder / f"{part}.zip"
    try:
        if arrays.exists():
            with np.load(arrays) as file:
                ink: np.ndarray = np.logical_not(file["images"])
                return ink
        with ZipFile(archive) as file:
            return _drawings(file)
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        raise DataError(
            expectation(path_text(archive), "a file that can be read", cause_text(error), _fix())
        ) from error


def _drawings(archive: ZipFile) -> np.ndarray:
    """The drawings of an official archive: PART/ALPHABET/characterNN/NNNN_PP.png, ink in black."""
    from PIL import Image  # needed for the archives only

    def character(path: PurePosixPath) -> tuple[int, str]:
        return ALPHABETS.index(path.parts[1]), path.parts[2]

    paths = [path for path in map(PurePosixPath, archive.namelist()) if path.suffix == ".png"]
    paths.sort(key=lambda path: (*character(path), path.name))

    def drawing(path: PurePosixPath) -> np.ndarray:
        with Image.open(BytesIO(archive.read(str(path)))) as image:
            ink: np.ndarray = np.logical_not(np.asarray(image.convert("1")))
            return ink

    return np.stack([np.stack([drawing(path) for path in each]) for _, each in groupby(paths, character)])


def _fix() -> str:
    return f"put {' and '.join(f'{part}.zip' for part in PARTS)} from {SOURCE} into the folder, and name it with --data"
