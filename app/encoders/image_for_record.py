"""Picture files as records keep them: without metadata, upright, and shrunk where they are large."""

import io
from typing import TYPE_CHECKING

import numpy as np

from app.encoders import png_chunks
from app.encoders.image_decoding import format_of, opened, size

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_KEPT_SIDE = 512
"""Pixels of a side in a record: larger pictures are shrunk to it."""
FILE_S, PIXEL_S = 3e-4, 3e-8
"""Of decoding a picture, and for each of its pixels."""


def to_keep(data: bytes, place: str) -> bytes:
    """The picture without metadata, upright, and at most MAX_KEPT_SIDE pixels a side.

    A picture that is upright and small enough keeps its pixels, and is not decoded. Raises Invalid where it is no
    picture, is too large, or has to be decoded and cannot be.
    """
    longer, form = max(size(data, place)), format_of(data, place)
    plain, turn = form.strip(data, place), form.orientation(data, place)
    if longer <= MAX_KEPT_SIDE and turn == 1:
        return plain
    return _redrawn(plain, min(1.0, MAX_KEPT_SIDE / longer), turn, place)


def decoding_seconds(kept: bytes) -> float:
    """About how long it takes to decode a picture that `to_keep` returned. Only the header of a PNG says its size."""
    rows, columns = png_chunks.size(kept, "") if kept.startswith(png_chunks.START) else (MAX_KEPT_SIDE, MAX_KEPT_SIDE)
    return FILE_S + rows * columns * PIXEL_S


def _redrawn(data: bytes, factor: float, turn: int, place: str) -> bytes:
    """The picture at `factor` of its size, turned upright, as a PNG, which loses nothing more."""
    from PIL import Image

    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    with opened(data, place) as image:
        columns, rows = (max(1, round(side * factor)) for side in image.size)
        image.draft(image.mode, (columns, rows))  # decodes a large JPEG at a fraction of its size
        small = _plain(image).resize((columns, rows), Image.Resampling.BILINEAR)
    upright = small.transpose(turns[turn]) if turn in turns else small
    file = io.BytesIO()
    upright.save(file, "PNG")
    return file.getvalue()


def _plain(image: "Image") -> "Image":
    """The picture in 8 bits: gray, RGB, or RGBA where it has transparent pixels."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits of gray, of which one may stand for transparent pixels
        levels = np.asarray(image)
        gray = Image.fromarray((levels // 257).astype(np.uint8))
        if not image.has_transparency_data:
            return gray
        opaque = levels != image.info["transparency"]
        return Image.merge("RGBA", [gray] * 3 + [Image.fromarray(opaque.astype(np.uint8) * 255)])
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")
