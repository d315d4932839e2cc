"""Bodies that a client compresses, as the header Content-Encoding says."""

import zlib
from functools import partial

from fastapi import Request

from app.api.large_bodies import LargeBodies
from app.errors import BodyTooLarge, Malformed, UnsupportedEncoding

GZIP = 16 + zlib.MAX_WBITS
"""What zlib takes for the format of gzip."""
GZIP_MAGIC = b"\x1f\x8b"
"""The first two bytes of gzip."""
MAX_MEMBERS = 1000
"""Each costs time of its own, however small it is."""
CHUNK_BYTES = 64 * 2**10
"""Zlib copies what is left of a chunk at the end of each member."""


async def decompressed(request: Request, body: bytes, limit: int, large_bodies: LargeBodies) -> bytes:
    """The body of a request as it was before it was compressed.

    limit: the bytes that it may have

    Raises UnsupportedEncoding, Malformed, BodyTooLarge and Overloaded.
    """
    declared = ", ".join(request.headers.getlist("content-encoding"))
    match declared.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip":
            return await large_bodies.decompress(request, partial(gunzip, body, limit))
    raise UnsupportedEncoding(["gzip", "identity"], declared)


def _actual_and_fix(body: bytes, start: int) -> tuple[str, str]:
    """What a body that zlib cannot read is, and what to do. start: where the member begins that it cannot read"""
    first = body[start : start + 2]
    if first == GZIP_MAGIC:
        return "gzip that is damaged", "compress it and send it again, unchanged"
    if start:
        return f"gzip followed by other bytes, from byte {start} on", "send nothing after the gzip"
    # RFC 1950: the method is 8, and the two bytes are a multiple of 31
    if len(first) == 2 and first[0] & 15 == zlib.DEFLATED and int.from_bytes(first) % 31 == 0:
        return "a body in the format zlib (deflate)", "compress it with gzip instead"
    return "a body that is not compressed with gzip", "compress it with gzip, or leave Content-Encoding out"


def gunzip(body: bytes, limit: int) -> bytes:
    """A body that gzip compressed, in one or more members. limit: the bytes that it may have decompressed

    Raises Malformed and BodyTooLarge.
    """
    parts, size, at, view = [], 0, 0, memoryview(body)
    for _ in range(MAX_MEMBERS):
        member, start = zlib.decompressobj(GZIP), at
        while not member.eof:
            chunk = view[at : at + CHUNK_BYTES]
            if not chunk:
                actual = f"a body that breaks off after {len(body)} bytes"
                raise Malformed("complete gzip", actual, "send the whole body")
            try:
                parts.append(member.decompress(chunk, limit - size + 1))
            except zlib.error as error:
                raise Malformed("gzip, as Content-Encoding says", *_actual_and_fix(body, start)) from error
            size += len(parts[-1])
            if size > limit:
                raise BodyTooLarge(limit)
            at += len(chunk) - len(member.unused_data)
        zeros_follow = body[at : at + 1] == b"\0" and body.count(0, at) == len(body) - at  # as `gzip` takes them
        if at == len(body) or zeros_follow:
            return b"".join(parts)
    raise Malformed(f"at most {MAX_MEMBERS} gzip members", "more", "compress the body as a whole")
