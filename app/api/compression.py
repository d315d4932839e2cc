"""Bodies that a client compresses, as the header Content-Encoding says."""

import zlib
from functools import partial

from fastapi import Request

from app.api.large_bodies import LargeBodies
from app.errors import BodyTooLarge, Malformed, UnsupportedEncoding

GZIP = 16 + zlib.MAX_WBITS
"""What zlib takes for the format of gzip."""
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


def gunzip(body: bytes, limit: int) -> bytes:
    """A body that gzip compressed, in one or more members. limit: the bytes that it may have decompressed

    Raises Malformed and BodyTooLarge.
    """
    parts, size, at, view = [], 0, 0, memoryview(body)
    for _ in range(MAX_MEMBERS):
        member = zlib.decompressobj(GZIP)
        while not member.eof:
            chunk = view[at : at + CHUNK_BYTES]
            if not chunk:
                actual = f"a body that breaks off after {len(body)} bytes"
                raise Malformed("complete gzip", actual, "send the whole body")
            try:
                parts.append(member.decompress(chunk, limit - size + 1))
            except zlib.error as error:
                fix = "compress it with gzip, or leave Content-Encoding out"
                actual = f"a body that cannot be decompressed ({error})"
                raise Malformed("gzip, as Content-Encoding says", actual, fix) from error
            size += len(parts[-1])
            if size > limit:
                raise BodyTooLarge(limit)
            at += len(chunk) - len(member.unused_data)
        zeros_follow = body[at : at + 1] == b"\0" and body.count(0, at) == len(body) - at  # as `gzip` takes them
        if at == len(body) or zeros_follow:
            return b"".join(parts)
    raise Malformed(f"at most {MAX_MEMBERS} gzip members", "more", "compress the body as a whole")
