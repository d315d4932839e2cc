"""The media types of a body and of its answer, from the headers Content-Type and Accept."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from app.api.codec import JSON, MSGPACK, NDJSON, Codec
from app.api.csv_requests import CSV, CsvCodec
from app.errors import UnsupportedMedia

EVENTS = "text/event-stream"
QUALITY = re.compile(r"\s*q\s*=\s*(\d\.?\d*|\.\d+)\s*", re.IGNORECASE)
"""The parameter of a media type in Accept that says how much it is wanted."""
COMMA = re.compile(r',(?=(?:[^"]*"[^"]*")*[^"]*$)')
"""A comma that is not within quotes."""
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
    declared, accepted = content_type.decode("latin-1"), _qualities(accept.decode("latin-1"))
    media = declared.partition(";")[0].strip().lower()
    texts = [each for each, taken in ((CSV, csv), (NDJSON, ndjson)) if taken]
    codec = JSON if media in texts else CODECS.get(media)
    if codec is None:
        raise UnsupportedMedia([*CODECS, *texts], declared)
    wanted = [each for each in (codec.media, *CODECS, CSV) if _quality(accepted, each) > 0]
    named = [*accepted]
    wanted.sort(key=lambda each: (-_quality(accepted, each), named.index(each) if each in named else len(named)))
    answer_codec = next((CODECS[each] for each in wanted if each in CODECS), codec)
    events = accepted.get(EVENTS, 0.0) >= max(1e-3, *(_quality(accepted, each) for each in CODECS))
    return MediaTypes(codec, answer_codec, media == NDJSON, events, media == CSV, wanted[:1] == [CSV])


def _quality(accepted: Mapping[str, float], media: str) -> float:
    """How much a media type is wanted, from 0 to 1. What names it counts more than a wildcard."""
    names = media, f"{media.partition('/')[0]}/*", "*/*"
    return next((accepted[name] for name in names if name in accepted), 0.0)


def _qualities(accept: str) -> dict[str, float]:
    """The media types of a header Accept, in small letters, with their q values."""
    given: dict[str, float] = {}
    for part in COMMA.split(accept):
        media, *parameters = part.split(";")
        quality = next((match[1] for each in parameters if (match := QUALITY.fullmatch(each))), "1")
        given.setdefault(media.strip().lower(), min(1.0, float(quality)))
    return given
