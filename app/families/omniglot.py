"""Omniglot: classifying handwritten characters after seeing a few drawings of each. Lake et al. 2015."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from app.encoders.drawing_normalisation import normalise
from app.encoders.image import ImageEncoder
from app.errors import DataError, expectation
from app.families.family import Description, Samples, Split, interleave_classes
from app.families.omniglot_archives import PEOPLE, SIDE, read
from app.families.omniglot_splits import characters
from app.learn.networks import NetworkSpec
from app.learn.shape_annotations import Float

TURNS = 4


@dataclass(frozen=True)
class Omniglot:
    """Images of 28 x 28 pixels, from 0 (paper) to 1 (ink), and which character of the task each shows.

    cut: how characters are split. `alphabets`: the test characters (1201-1623 of 1623, in the order of `ALPHABETS`) and
        the validation characters (1060-1159) are of other alphabets than the training characters, except for three of
        Aurek-Besh. The first 41 of the 45 characters of Gurmukhi are in no split, as the other 4 are test characters.
        `random`, the published split: 1,100 / 100 / 423 characters of all alphabets
    distortion: how much training drawings are rotated, stretched, slanted and shifted at random (`distort`)
    data: the folder of the data set (`omniglot_images`)

    In training only, a character rotated by 90, 180 or 270 degrees is another class. Validation and test drawings are
    encoded as a server encodes them (`encoder`), which changes few of them.
    """

    cut: str = "alphabets"
    distortion: float = 1.0
    data: Path | None = field(default=None, repr=False, compare=False)
    kind = "classification"
    features = SIDE * SIDE
    shape = (SIDE, SIDE)
    image = "ink"
    targets = 5
    description = Description(
        purpose="tells drawn characters apart after one or a few drawings of each, also in alphabets that it was not "
        "trained on. Inputs are images of dark ink on light paper. Drawings without margins, or with much thinner, "
        "thicker or fainter lines than those of Omniglot, are scaled and centred to look like them.",
        not_for="Photographs, noise, or light ink on dark paper. The model returns labels there too, often with high "
        "probabilities, but they are guesses: `unlike` marks nearly all of them.",
        data="Omniglot (Lake et al. 2015): 1,623 characters of 50 alphabets, each drawn by 20 people. Of these, 1,059 "
        "are for training, 100 for validation and 423 for testing. The other 41 are left out: they are from "
        "Gurmukhi, an alphabet that also has test characters. In training, a character rotated by 90, 180 or 270 "
        "degrees counts as another class, so there are four times as many classes to train on.",
    )

    def __post_init__(self) -> None:
        if self.cut not in ("alphabets", "random"):
            raise ValueError(f"cut: expected 'alphabets' or 'random', got {self.cut!r}")

    @property
    def encoder(self) -> ImageEncoder:
        """Makes drawings of other pens and sizes like those of Omniglot."""
        return ImageEncoder(self.shape, "drawing")

    @property
    def network(self) -> NetworkSpec:
        """The usual four convolutions of 64 filters; their 64 outputs are the embedding."""
        return NetworkSpec("conv4", {"side": SIDE})

    def sample(
        self,
        tasks: int,
        examples: int,
        generator: torch.Generator,
        ways: int | None = None,
        split: Split = "training",
    ) -> Samples:
        """Draw characters, and drawings of each by different people."""
        images, ways = self._characters[split], ways or self.targets
        turns = TURNS if split == "training" else 1
        if ways > turns * len(images) or examples > PEOPLE:
            raise DataError(
                expectation(
                    "ways, shots and queries",
                    f"at most {turns * len(images)} classes in the {split} split and {PEOPLE} examples of each",
                    f"{ways} and {examples}",
                )
            )

        def choose(count: int, below: int, *shape: int) -> Tensor:
            """`count` different numbers below `below`, for each element of `shape`."""
            return torch.rand((*shape, below), generator=generator, device=generator.device).topk(count).indices.cpu()

        character, person = choose(ways, turns * len(images), tasks), choose(examples, PEOPLE, tasks, ways)
        turn, character = character // len(images), character % len(images)
        drawings = images[character[..., None], person].to(generator.device)
        if split == "training":
            quarters = turn[..., None].expand(person.shape).to(generator.device)
            drawings = rotate(drawings.flatten(0, 2), quarters.flatten())
            drawings = distort(drawings, self.distortion, generator)
        return interleave_classes(drawings.reshape(tasks, ways, examples, self.features))

    @cached_property
    def _characters(self) -> Mapping[Split, Tensor]:
        images = read(self.data)
        drawings = {split: images[torch.tensor(each)] for split, each in characters(self.cut).items()}
        return {split: each if split == "training" else _encoded(each) for split, each in drawings.items()}


def _encoded(drawings: Float[Tensor, "character person row column"]) -> Float[Tensor, "character person row column"]:
    """The drawings as a server encodes them."""
    return torch.from_numpy(normalise(drawings.flatten(0, 1).numpy())).reshape(drawings.shape)


def rotate(images: Float[Tensor, "image row column"], quarters: Tensor) -> Float[Tensor, "image row column"]:
    """Rotate each image by its number of quarter turns."""
    rotated = torch.stack([images.rot90(turn, (1, 2)) for turn in range(TURNS)])
    return rotated[quarters, torch.arange(len(images), device=images.device)]


def distort(
    images: Float[Tensor, "image row column"], amount: float, generator: torch.Generator
) -> Float[Tensor, "image row column"]:
    """Apply a random affine map near the identity to each image.

    At an amount of 1: rotated by N(0, 7 degrees), stretched in each direction by a factor of e^N(0, 0.1), slanted by
    N(0, 0.12) and shifted by at most 2.5 pixels. Bilinear; the outside is paper.
    """
    if amount == 0:
        return images
    count = len(images)

    def normal(scale: float) -> Tensor:
        return scale * amount * torch.randn(count, generator=generator, device=generator.device)

    angle, slant, wide, high = normal(0.12), normal(0.12), normal(0.1).exp(), normal(0.1).exp()
    shift = torch.rand(2, count, generator=generator, device=generator.device) * 2 - 1
    sine, cosine, (right, down) = angle.sin(), angle.cos(), amount * 5 / SIDE * shift
    rows = torch.stack([cosine * wide, slant - sine * high, right, sine * wide, cosine * high, down], dim=1)
    grid = functional.affine_grid(rows.reshape(count, 2, 3), [count, 1, SIDE, SIDE], align_corners=False)
    return functional.grid_sample(images[:, None], grid, align_corners=False)[:, 0]


family = Omniglot
