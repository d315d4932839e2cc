"""PNG and JPEG files: read from text, bounded before they are decoded, and decoded."""

import base64
import io
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from app.encoders import jpeg_segments, png_chunks
from app.encoders.error_places import show
from app.errors import Invalid

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_SIDE = 4096
"""Pixels of a side."""
EXPECTED = "a PNG or JPEG"
OTHER_FORMATS = {b"GIF8": "a GIF", b"RIFF": "a WebP", b"<svg": "an SVG", b"%PDF": "a PDF"}
"""What bytes are that are neither, by their first ones."""


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
    rows, columns = format_of(data, place).size(data, place)
    if rows == 0 or columns == 0:
        raise Invalid(place, "an image with pixels", f"{columns} x {rows}", "save the image again")
    if max(rows, columns) > MAX_SIDE:
        raise Invalid(place, f"at most {MAX_SIDE} pixels a side", f"{columns} x {rows}", "scale the image down")
    return rows, columns


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
        expected, actual = f"a complete {format_of(data, place).name}", "one that is cut off or damaged"
        raise Invalid(place, expected, actual, "save the image again") from error


def format_of(data: bytes, place: str) -> Format:
    """The format of a file. Raises Invalid where it is none of FORMATS."""
    for form in FORMATS:
        if data.startswith(form.start):
            return form
    known = (name for start, name in OTHER_FORMATS.items() if data.startswith(start))
    actual = next(known, f"{len(data)} other bytes" if data else "no bytes")
    raise Invalid(place, EXPECTED, actual, "convert other formats to PNG")
