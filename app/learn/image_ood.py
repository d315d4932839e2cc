"""Images unlike those of training: how much ink they have and how it lies, whatever they show."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from app.learn.shape_annotations import Bool, Float

STATISTICS = ("ink", "edges", "border")
"""What `image_statistics` measures, in its order."""
FALSE_ALARM_RATE = 0.01
"""The share of images of validation tasks that are flagged, at most."""
MARGIN = 0.05
"""By this part of its width, a range is wider at each end than the images that it was made from."""
MIN_INK = 1e-3


@dataclass(frozen=True)
class ImageReference:
    """The range of each of STATISTICS among the images of training and of validation tasks.

    tasks, seed: the number of tasks of each, and the seed that they were drawn with
    low, high: [statistic]; an image with a statistic outside is unlike training
    """

    tasks: int
    seed: int
    low: tuple[float, ...]
    high: tuple[float, ...]

    @property
    def fits(self) -> bool:
        """Whether there is a range for each statistic."""
        return len(self.low) == len(self.high) == len(STATISTICS) and all(
            low <= high for low, high in zip(self.low, self.high, strict=True)
        )

    def is_unlike(self, images: Float[Tensor, "image pixel"], shape: tuple[int, ...]) -> Bool[Tensor, " image"]:
        """Which images are unlike those of training. shape: rows and columns of an image"""
        statistics = image_statistics(images, shape)
        outside = (statistics < statistics.new_tensor(self.low)) | (statistics > statistics.new_tensor(self.high))
        return outside.any(-1)


def image_statistics(images: Float[Tensor, "image pixel"], shape: tuple[int, ...]) -> Float[Tensor, "image statistic"]:
    """The STATISTICS of images whose pixels are ink, from 0 to 1. shape: rows and columns of an image

    ink: the logarithm of its mean
    edges: the mean difference of neighbouring pixels, for the ink that there is: small where it lies in large areas
    border: the mean ink of the outermost pixels
    """
    pixels = images.reshape(-1, *shape)
    ink = pixels.mean((1, 2))
    enough = ink.clamp(min=MIN_INK)
    across, down = (pixels.diff(dim=axis).abs().mean((1, 2)) for axis in (1, 2))
    inner = pixels[:, 1:-1, 1:-1].sum((1, 2))
    border = (pixels.sum((1, 2)) - inner) / (pixels[0].numel() - pixels[0, 1:-1, 1:-1].numel())
    return torch.stack([enough.log(), (across + down) / enough, border], -1)


def reference_of(
    parts: Sequence[Float[Tensor, "image pixel"]], shape: tuple[int, ...], tasks: int, seed: int
) -> ImageReference:
    """The reference of several sets of images. Each end of each range leaves the same share of every set outside.

    tasks, seed: as in an `ImageReference`
    """
    share = FALSE_ALARM_RATE / (2 * len(STATISTICS))
    statistics = [image_statistics(images, shape).double() for images in parts]
    low = torch.stack([each.quantile(share, 0) for each in statistics]).amin(0)
    high = torch.stack([each.quantile(1 - share, 0) for each in statistics]).amax(0)
    margin = MARGIN * (high - low)
    return ImageReference(tasks, seed, tuple((low - margin).tolist()), tuple((high + margin).tolist()))
