"""The media types of a body and of its answer, from the headers Content-Type and Accept."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from app.api.codec import JSON, MSGPACK, NDJSON, Codec
from app.api.csv_requests import CSV, CsvCodec
from app.errors import UnsupportedMedia

EVENTS = "text/event-stream"
QUALITY = re.compile(r"\s*q\s*=\s*(\d?\.?\d{1,3})\s*", re.IGNORECASE)
"""The parameter of a media type in Accept that says how much it is wanted."""
CODECS: Mapping[str, Codec] = {codec.media: codec for codec in (JSON, MSGPACK)}


class MediaTypes(NamedTuple):
    """What the headers of a request say of bodies.

    codec, answer_codec: of the body and of the answer
    ndjson: whether the body is many bodies, one a line
    events: whether the client wants a stream of events
    csv, csv_answer: whether the body is CSV, and the predictions are to be
    """

    codec: Codec | CsvCodec
    answer_codec: Codec
    ndjson: bool
    events: bool
    csv: bool
    csv_answer: bool


@lru_cache(maxsize=64)
def media_types(content_type: bytes, accept: bytes, ndjson: bool, csv: bool = True) -> MediaTypes:
    """The media types that these headers ask for. Raises UnsupportedMedia.

    ndjson, csv: whether application/x-ndjson and text/csv are taken
    Cached, because clients send the same headers again and again.
    """
    declared, accepted = content_type.decode("latin-1"), _by_preference(accept.decode("latin-1"))
    media = declared.partition(";")[0].strip().lower()
    texts = [each for each, taken in ((CSV, csv), (NDJSON, ndjson)) if taken]
    codec = JSON if media in texts else CODECS.get(media)
    if codec is None:
        raise UnsupportedMedia([*CODECS, *texts], declared)
    usual = _by_wildcard(accepted, codec.media)
    wanted = [each for each in accepted if each in (*CODECS, CSV) and accepted[each] >= usual]
    answer_codec = next((CODECS[each] for each in wanted if each in CODECS), codec)
    events = accepted.get(EVENTS, 0.0) >= max(0.001, usual, *(accepted[each] for each in wanted if each in CODECS))
    return MediaTypes(codec, answer_codec, media == NDJSON, events, media == CSV, wanted[:1] == [CSV])


def _by_wildcard(accepted: Mapping[str, float], media: str) -> float:
    """How much a media type is wanted that the header does not name."""
    every, of_its_kind = accepted.get("*/*", 0.0), f"{media.partition('/')[0]}/*"
    return 0.0 if media in accepted else accepted.get(of_its_kind, every)


def _by_preference(accept: str) -> dict[str, float]:
    """The media types of a header Accept with their q values, the most wanted first; without those of q=0."""
    given: dict[str, float] = {}
    for part in accept.split(","):
        media, *parameters = part.split(";")
        quality = next((match[1] for each in parameters if (match := QUALITY.fullmatch(each))), "1")
        given.setdefault(media.strip().lower(), float(quality))
    return {media: quality for media, quality in sorted(given.items(), key=lambda item: -item[1]) if quality > 0}
