"""Picture files, PNG and JPEG: read from text, bounded before they are decoded, and in the form that records keep."""

import base64
import io
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from app.encoders import jpeg_segments, png_chunks
from app.encoders.error_places import show
from app.errors import Invalid

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_SIDE = 4096
"""Pixels of a side."""
MAX_KEPT_SIDE = 512
"""Pixels of a side in a record: larger pictures are shrunk to it."""
EXPECTED = "a PNG or JPEG"
OTHER_FORMATS = {b"GIF8": "a GIF", b"RIFF": "a WebP", b"<svg": "an SVG", b"%PDF": "a PDF"}
"""What bytes are that are neither, by their first ones."""

FILE_S, PIXEL_S = 3e-4, 3e-8
"""Of decoding a picture, and for each of its pixels."""


class Format(NamedTuple):
    """A file format, and what reads its files without decoding them; each raises Invalid at a place."""

    name: str
    start: bytes
    size: Callable[[bytes, str], tuple[int, int]]
    strip: Callable[[bytes, str], bytes]
    orientation: Callable[[bytes, str], int]


FORMATS = (
    Format("PNG", png_chunks.START, png_chunks.size, png_chunks.strip, lambda data, place: 1),
    Format("JPEG", jpeg_segments.START, jpeg_segments.size, jpeg_segments.strip, jpeg_segments.orientation),
)


def read_picture(value: str | bytes | bytearray | memoryview, place: str) -> bytes:
    """The bytes of a picture: bytes, base64 or a `data:` URL with base64. Raises Invalid where it is none of them."""
    if not isinstance(value, str):
        return bytes(value)
    header, comma, text = value.partition(",") if value.startswith("data:") else ("", "", value)
    fix = "encode the bytes of the file as base64 without line breaks, alone or in a data: URL"
    if comma and not header.endswith(";base64"):
        raise Invalid(place, "a data: URL with base64", show(value), fix)
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise Invalid(place, f"{EXPECTED} in base64", show(value), fix) from None


def size(data: bytes, place: str) -> tuple[int, int]:
    """Rows and columns, before anything is decoded. Raises Invalid where it is no picture, or too large."""
    rows, columns = _format(data, place).size(data, place)
    if rows == 0 or columns == 0:
        raise Invalid(place, "an image with pixels", f"{columns} x {rows}", "save the image again")
    if max(rows, columns) > MAX_SIDE:
        raise Invalid(place, f"at most {MAX_SIDE} pixels a side", f"{columns} x {rows}", "scale the image down")
    return rows, columns


def to_keep(data: bytes, place: str) -> bytes:
    """The picture without metadata, upright, and at most MAX_KEPT_SIDE pixels a side.

    A picture that is upright and small enough keeps its pixels, and is not decoded. Raises Invalid where it is no
    picture, is too large, or has to be decoded and cannot be.
    """
    longer, form = max(size(data, place)), _format(data, place)
    plain, turn = form.strip(data, place), form.orientation(data, place)
    if longer <= MAX_KEPT_SIDE and turn == 1:
        return plain
    return _redrawn(plain, min(1.0, MAX_KEPT_SIDE / longer), turn, place)


def decoding_seconds(kept: bytes) -> float:
    """About how long it takes to decode a picture that `to_keep` returned. Only the header of a PNG says its size."""
    rows, columns = png_chunks.size(kept, "") if kept.startswith(png_chunks.START) else (MAX_KEPT_SIDE, MAX_KEPT_SIDE)
    return FILE_S + rows * columns * PIXEL_S


@contextmanager
def opened(data: bytes, place: str) -> Iterator["Image"]:
    """A picture to decode. What fails in the block because the file is damaged becomes Invalid."""
    from PIL import Image  # training on numbers or tables does without it

    rows, columns = size(data, place)
    damaged = OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError
    try:
        with Image.open(io.BytesIO(data), formats=[form.name for form in FORMATS]) as image:
            if image.size != (columns, rows):
                raise ValueError("two sizes in one file")
            yield image
    except damaged as error:
        expected, actual = f"a complete {_format(data, place).name}", "one that is cut off or damaged"
        raise Invalid(place, expected, actual, "save the image again") from error


def _format(data: bytes, place: str) -> Format:
    for form in FORMATS:
        if data.startswith(form.start):
            return form
    known = (name for start, name in OTHER_FORMATS.items() if data.startswith(start))
    actual = next(known, f"{len(data)} other bytes" if data else "no bytes")
    raise Invalid(place, EXPECTED, actual, "convert other formats to PNG")


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

    if image.mode.startswith("I"):  # 16 bits of gray
        return Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")
