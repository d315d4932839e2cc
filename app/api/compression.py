"""Bodies that a client compresses, as the header Content-Encoding says."""

import zlib
from functools import partial

from fastapi import Request

from app.api.large_bodies import LargeBodies
from app.errors import BodyTooLarge, Malformed, UnsupportedEncoding

GZIP = 16 + zlib.MAX_WBITS
"""What zlib takes for the format of gzip."""


async def decompressed(request: Request, body: bytes, encoding: bytes, limit: int, large_bodies: LargeBodies) -> bytes:
    """The body as it was before it was compressed.

    encoding: the header Content-Encoding
    limit: the bytes that it may have

    Raises UnsupportedEncoding, Malformed, BodyTooLarge and Overloaded.
    """
    declared = encoding.decode("latin-1")
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
    parts, size = [], 0
    while True:
        member = zlib.decompressobj(GZIP)
        try:
            parts.append(member.decompress(body, limit - size + 1))
        except zlib.error as error:
            fix = "compress it with gzip, or leave Content-Encoding out"
            raise Malformed(
                "gzip, as Content-Encoding says", f"a body that cannot be decompressed ({error})", fix
            ) from error
        size += len(parts[-1])
        if size > limit:
            raise BodyTooLarge(limit)
        if not member.eof:
            raise Malformed("complete gzip", f"a body that breaks off after {len(body)} bytes", "send the whole body")
        body = member.unused_data
        if not body:
            return b"".join(parts)
