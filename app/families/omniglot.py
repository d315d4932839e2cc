"""Omniglot: telling handwritten characters apart, of which the model has seen a few drawings. Lake et al. 2015."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from app.errors import DataError
from app.families.family import Samples, Split, in_turn
from app.families.omniglot_images import CHARACTERS, PEOPLE, SIDE, read
from app.learn.networks import NetworkSpec
from app.learn.shapes import Float

TURNS = 4
SHUFFLE_SEED = 0


@dataclass(frozen=True)
class Omniglot:
    """Images of 28 x 28, from 0 (paper) to 1 (ink), and which of the characters of its task each is.

    cut: `alphabets`, where the test characters (1201-1623 of 1623, as `ALPHABETS` counts) and those of validation
        (1060-1159) are of other alphabets than those of training, but for three of Aurek-Besh. Gurmukhi, which the cut
        would split, is in neither. `random`, the published one: 1,100 / 100 / 423 characters of all alphabets
    distortion: how much training drawings are turned, stretched, slanted and shifted at random (`distorted`)
    data: the folder of the data set (`omniglot_images`)

    In training, and only there, a character turned by 90, 180 or 270 degrees is a further one.
    """

    cut: str = "alphabets"
    distortion: float = 1.0
    data: Path | None = field(default=None, repr=False, compare=False)
    kind = "classification"
    features = SIDE * SIDE
    shape = (SIDE, SIDE)
    image = "ink"
    targets = 5

    def __post_init__(self) -> None:
        if self.cut not in ("alphabets", "random"):
            raise ValueError(f"the cut is 'alphabets' or 'random', got {self.cut!r}")

    @property
    def network(self) -> NetworkSpec:
        """The usual four convolutions of 64 filters; their 64 last numbers are the embedding."""
        return NetworkSpec("conv4", {"side": SIDE})

    def sample(
        self,
        tasks: int,
        examples: int,
        generator: torch.Generator,
        ways: int | None = None,
        split: Split = "training",
    ) -> Samples:
        """Draw characters and drawings of each, every one by another person."""
        images, ways = self._characters[split], ways or self.targets
        turns = TURNS if split == "training" else 1
        if ways > turns * len(images) or examples > PEOPLE:
            raise DataError(
                f"omniglot has {turns * len(images)} characters for {split} and {PEOPLE} drawings of each, "
                f"asked for {ways} and {examples}"
            )

        def some(of: int, count: int, *each: int) -> Tensor:
            """`count` different numbers below `of`."""
            drawn = torch.rand((*each, of), generator=generator, device=generator.device)
            return drawn.topk(count).indices.cpu()

        character, person = some(turns * len(images), ways, tasks), some(PEOPLE, examples, tasks, ways)
        turn, character = character // len(images), character % len(images)
        drawings = images[character[..., None], person].to(generator.device)
        if split == "training":
            quarter = turn[..., None].expand(person.shape).to(generator.device)
            drawings = distorted(turned(drawings.flatten(0, 2), quarter.flatten()), self.distortion, generator)
        return in_turn(drawings.reshape(tasks, ways, examples, self.features))

    @cached_property
    def _characters(self) -> Mapping[Split, Tensor]:
        images = read(self.data)
        return {split: images[torch.tensor(each)] for split, each in characters(self.cut).items()}


def characters(cut: str) -> Mapping[Split, list[int]]:
    """Which characters each split has, counted from 0."""
    if cut == "random":
        order = torch.randperm(CHARACTERS, generator=torch.Generator().manual_seed(SHUFFLE_SEED)).tolist()
        return {"training": order[:1100], "validation": order[1100:1200], "test": order[1200:]}
    return {"training": [*range(1059)], "validation": [*range(1059, 1159)], "test": [*range(1200, CHARACTERS)]}


def turned(images: Float[Tensor, "image row column"], quarters: Tensor) -> Float[Tensor, "image row column"]:
    """Each image turned by its number of quarters of a circle."""
    every = torch.stack([images.rot90(turn, (1, 2)) for turn in range(TURNS)])
    return every[quarters, torch.arange(len(images), device=images.device)]


def distorted(
    images: Float[Tensor, "image row column"], amount: float, generator: torch.Generator
) -> Float[Tensor, "image row column"]:
    """Each image under an affine map of its own, near the identity.

    At an amount of 1: turned by N(0, 7 degrees), stretched in each direction by a factor of e^N(0, 0.1), slanted by
    N(0, 0.12) and shifted by at most 2.5 pixels. Bilinear; paper comes in from outside.
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
