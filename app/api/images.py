"""Images to arrays: a PNG of any size, as ink on the raster of the model."""

import io
import struct
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

from app.errors import Invalid

MAX_SIDE = 4096
"""Pixels of a side."""
MAX_PIXELS = 2**24
"""In the images of one array (1,500 of 105 x 105): they are decoded on the event loop, which takes half a second."""
PNG = b"\x89PNG\r\n\x1a\n"
OTHER_FORMATS = {PNG: "the beginning of one", b"\xff\xd8\xff": "a JPEG", b"GIF8": "a GIF", b"RIFF": "a WebP"}
"""What bytes are that are no complete PNG, by their first ones."""
_DAMAGED = OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError
"""What pillow raises for damaged PNGs."""
MAX_FILES = 20_000
"""In one array: even the smallest takes .35 ms to decode."""
HEADER = 24
"""Bytes of a PNG up to the end of its height."""


def size(data: bytes, place: str) -> tuple[int, int]:
    """Rows and columns of a PNG, from its header alone. Raises Invalid where it is no PNG or too large."""
    if len(data) < HEADER or not data.startswith(PNG) or data[12:16] != b"IHDR":
        known = (name for start, name in OTHER_FORMATS.items() if data.startswith(start))
        actual = next(known, f"{len(data)} other bytes" if data else "no bytes")
        raise Invalid(place, "a complete PNG", actual, "convert other formats to PNG")
    width, height = struct.unpack(">II", data[16:HEADER])
    if width == 0 or height == 0:
        raise Invalid(place, "an image with pixels", f"{width} x {height}")
    if not (width <= MAX_SIDE and height <= MAX_SIDE):
        raise Invalid(place, f"at most {MAX_SIDE} pixels a side", f"{width} x {height}", "scale the image down")
    return height, width


def ink(data: bytes, shape: tuple[int, int], place: str) -> np.ndarray:
    """A PNG as float32 [row * column] of `shape`: 0 = paper, 1 = ink. Raises Invalid where it cannot be read.

    The image counts as gray, dark on light, and transparent pixels as paper. It is padded with paper to the proportions
    of `shape`, and each pixel of the result is the mean of the area that it covers.
    """
    rows, columns = size(data, place)
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.size != (columns, rows):
                raise ValueError("a second header with another size")
            dark = _ink(image)
    except _DAMAGED as error:
        raise Invalid(place, "a complete PNG", "one that is cut off or damaged", "save the image again") from error
    pixel = max(rows / shape[0], columns / shape[1])
    shrunk: np.ndarray = _shares(shape[0], rows, pixel) @ dark @ _shares(shape[1], columns, pixel).T
    return shrunk.reshape(-1)


def _ink(image: Image.Image) -> np.ndarray:
    """How dark and opaque each pixel is, float32 [row, column] in [0, 1]."""
    if image.mode.startswith("I"):  # 16 bits of gray
        dark = 1 - np.asarray(image, np.float32) / 65535
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


IMAGES: Mapping[str, Callable[[bytes, tuple[int, int], str], np.ndarray]] = {"ink": ink}
"""By the `image` of a bundle's schema."""
