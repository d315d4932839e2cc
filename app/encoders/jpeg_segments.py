"""JPEG files: their size and orientation, and the file without metadata. Nothing is decoded.

A file is a sequence of segments: FF, a marker, and for most of them a length and a payload. The compressed pixels
follow the segment SOS; in them FF is followed by 00 or a restart marker. ITU T.81, annex B; EXIF 2.32, section 4.6.
"""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from app.errors import Invalid

START, END = b"\xff\xd8\xff", b"\xff\xd9"
EOI, SOS, EXIF, COMMENT = 0xD9, 0xDA, 0xE1, 0xFE
BARE = {0x00, 0x01, *range(0xD0, 0xD9)}
"""Markers without a length, which may stand in compressed data or at the start alone."""
SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers of the segments with the size: start of frame, of any coding."""
AFTER_PIXELS = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
"""A marker that does not stand in compressed data: none of BARE, and no padding."""
MAX_SCANS = 64
"""Of a progressive file, each of which is a pass over all pixels. Cameras and programs write about 10."""
COLOUR = {0xE0, 0xEE}
"""Application segments that say how the colours are to be read: JFIF and Adobe. The others are metadata."""
ORIENTATION = 0x0112


class Segment(NamedTuple):
    """A segment with its marker, and the compressed data after it."""

    marker: int
    data: bytes


def segments(data: bytes, place: str) -> Iterator[Segment]:
    """The segments after SOI up to EOI. Raises Invalid where the file is cut off."""
    at = 2
    while True:
        while data[at : at + 2] == b"\xff\xff":  # padding
            at += 1
        if data[at : at + 2] == END:
            yield Segment(EOI, END)
            return
        start, marker, length = struct.unpack(">BBH", data[at : at + 4].ljust(4, b"\0"))
        if start != 0xFF or marker in BARE or length < 2 or at + 2 + length > len(data):
            raise _damaged(place)
        end = at + 2 + length if marker != SOS else _end_of_pixels(data, at + 2 + length)
        yield Segment(marker, data[at:end])
        at = end


def size(data: bytes, place: str) -> tuple[int, int]:
    """Rows and columns. Raises Invalid where the file is cut off or does not say."""
    parts = list(segments(data, place))
    sizes = [segment[5:9] for marker, segment in parts if marker in SIZES and len(segment) >= 9]
    if len(sizes) != 1 or sum(each.marker == SOS for each in parts) > MAX_SCANS:
        raise _damaged(place)
    rows, columns = struct.unpack(">HH", sizes[0])
    return rows, columns


def strip(data: bytes, place: str) -> bytes:
    """The file without comments and application segments other than COLOUR. Raises Invalid where it is cut off."""
    kept = (
        each.data
        for each in segments(data, place)
        if each.marker != COMMENT and (not 0xE0 <= each.marker <= 0xEF or each.marker in COLOUR)
    )
    return data[:2] + b"".join(kept)


def orientation(data: bytes, place: str) -> int:
    """How the camera was held, 1 to 8 as EXIF counts; 1, upright, where the file does not say."""
    for marker, segment in segments(data, place):
        if marker == EXIF and segment[4:10] == b"Exif\0\0":
            return _orientation(segment[10:])
        if marker == SOS:
            break
    return 1


def _orientation(tiff: bytes) -> int:
    """The tag of the first directory of a TIFF; 1 where it is damaged."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, directory)
        for entry in range(count):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, directory + 2 + 12 * entry)
            if tag == ORIENTATION:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def _end_of_pixels(data: bytes, at: int) -> int:
    """Where the next marker is after compressed data."""
    following = AFTER_PIXELS.search(data, at)
    return len(data) if following is None else following.start()


def _damaged(place: str) -> Invalid:
    return Invalid(place, "a complete JPEG", "one that is cut off or damaged", "save the image again")
