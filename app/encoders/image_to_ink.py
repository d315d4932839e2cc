"""Pictures as ink on the raster of a network: 0 for paper, 1 for ink."""

from typing import TYPE_CHECKING

import numpy as np

from app.encoders.image_decoding import opened

if TYPE_CHECKING:
    from PIL.Image import Image


def picture_ink(data: bytes, shape: tuple[int, int], place: str) -> np.ndarray:
    """A PNG or JPEG as float32 [row, column] of `shape`. Raises Invalid where it cannot be decoded.

    The picture counts as gray, dark on light, and transparent pixels as paper.
    """
    with opened(data, place) as image:
        dark = _darkness(image)
    return fit_raster(dark, shape)


def fit_raster(ink: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Ink of any size as float32 [row, column] of `shape`.

    It is padded with paper to the proportions of `shape`, and each pixel of the result is the mean of the area that it
    covers.
    """
    rows, columns = ink.shape
    pixel = max(rows / shape[0], columns / shape[1])
    fitted: np.ndarray = _shares(shape[0], rows, pixel) @ ink @ _shares(shape[1], columns, pixel).T
    return fitted


def _darkness(image: "Image") -> np.ndarray:
    """How dark and opaque each pixel is, float32 [row, column] in [0, 1]."""
    if image.mode.startswith("I"):  # 16 bits of gray
        levels = np.asarray(image)
        dark = 1 - levels.astype(np.float32) / 65535
        dark[levels == image.info.get("transparency")] = 0
    elif image.has_transparency_data:
        pairs = np.asarray(image.convert("RGBA").convert("LA"))
        dark = (255 - pairs[..., 0]).astype(np.float32)
        dark *= pairs[..., 1]
        dark /= 255 * 255
    else:
        dark = (255 - np.asarray(image.convert("L"))).astype(np.float32)
        dark /= 255
    return dark


def _shares(new: int, old: int, pixel: float) -> np.ndarray:
    """float32 [new, old]: the share of each old pixel in each new one, which is `pixel` old ones wide."""
    edges = np.arange(new + 1) * pixel - (new * pixel - old) / 2
    starts = np.arange(old)
    common = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    shares: np.ndarray = (np.maximum(common, 0) / pixel).astype(np.float32)
    return shares
