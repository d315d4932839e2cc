"""HTTP requests: the body as bytes, its media type and that of the answer, and the client."""

from typing import NamedTuple, TypeVar

from fastapi import Request

from app.api.body_decompression import decompressed
from app.api.body_limit import read_body
from app.api.client_headers import by_name
from app.api.codec import JSON, Codec
from app.api.csv_requests import CsvCodec
from app.api.http_caller import Client
from app.api.large_bodies import SMALL, LargeBodies
from app.api.media_types import MediaTypes, media_types
from app.service.deadlines import in_time

T = TypeVar("T")


class IncomingRequest(NamedTuple):
    """A request whose body has been read but not decoded."""

    body: bytes
    client: Client
    media: MediaTypes

    @property
    def is_small(self) -> bool:
        """Whether the event loop reads it itself; `LargeBodies` is for any other."""
        return len(self.body) <= SMALL

    def decode(self, form: type[T]) -> T:
        """The body as `form`. Raises Malformed and Invalid."""
        return self.media.codec.decode(self.body, form)


async def receive(
    request: Request, limit: int, large_bodies: LargeBodies, ndjson: bool = False, csv: bool = True
) -> IncomingRequest:
    """Read a request.

    limit: the bytes that its body may have, compressed and decompressed
    ndjson, csv: whether application/x-ndjson and text/csv are taken

    Raises UnsupportedMedia and UnsupportedEncoding; BodyTooLarge as soon as the body is over the limit; Overloaded;
    Invalid for a header; Malformed and DeadlinePassed where it is compressed.
    """
    headers = by_name(request.scope["headers"])
    media = media_types(headers.get(b"content-type", b""), headers.get(b"accept", b""), ndjson, csv)
    if media.csv:
        media = media._replace(codec=CsvCodec(request.scope["query_string"]))
    body = await read_body(request, headers.get(b"content-length", b""), limit, large_bodies)
    client = Client.from_headers(headers, request.receive)
    if b"content-encoding" in headers:
        body = await in_time(client, decompressed(request, body, limit, large_bodies))
    return IncomingRequest(body, client, media)


def accepted(request: Request) -> Codec:
    """The format of the answer to a request without a body: JSON unless its header Accept asks for another."""
    return media_types(JSON.media.encode(), request.headers.get("accept", "").encode(), False).answer_codec
