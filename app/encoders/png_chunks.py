"""PNG files: their size, and the file without metadata. Nothing is decoded."""

import struct

from app.errors import Invalid

START = b"\x89PNG\r\n\x1a\n"
HEADER = 24
"""Bytes of a file up to the end of its height."""
KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
"""The chunks that make the pixels; all others are metadata, colour profiles or further frames."""


def size(data: bytes, place: str) -> tuple[int, int]:
    """Rows and columns, from the header alone. Raises Invalid where it is cut off."""
    if len(data) < HEADER or data[12:16] != b"IHDR":
        raise Invalid(place, "a complete PNG", "the beginning of one", "save the image again")
    width, height = struct.unpack(">II", data[16:HEADER])
    return height, width


def strip(data: bytes, place: str) -> bytes:
    """The file with the chunks in KEPT alone. Raises Invalid where it is cut off."""
    chunks, at, kind = [START], len(START), b""
    while kind != b"IEND":
        kind, end = data[at + 4 : at + 8], at + 12 + int.from_bytes(data[at : at + 4], "big")
        if end > len(data):
            raise Invalid(place, "a complete PNG", "one that is cut off or damaged", "save the image again")
        if kind in KEPT:
            chunks.append(data[at:end])
        at = end
    return b"".join(chunks)
