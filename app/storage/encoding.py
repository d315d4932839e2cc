"""Records as bytes: a format version in one byte, then msgpack; arrays are raw little-endian numbers.

Format 2 has labels too, each once, and is written only where there are any: whatever an older server can read, it can.
The id and the owner are not in it: a record is found by them. A record of 10 examples with one feature and one target
takes about 280 bytes.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from app.errors import StoreFailed
from app.learn.adapted import Status
from app.service.record import Adaptation, Change, InnerLoopSettings, Revision, Stage
from app.service.store import Name

VERSIONS = NUMBERS, LABELS = 1, 2
"""Of the format: with targets that are numbers, and with labels. Another one needs code here that reads these too."""


class _Stage(Struct, array_like=True, gc=False):
    """numbers: int32, or where they are consecutive only the first; rows: how many there are.

    targets: float32, NaN where nothing was told, or where the record has labels the place of each among them, uint32
    """

    revision: int
    rows: int
    numbers: int | bytes
    inputs: bytes
    targets: bytes


class _Revision(Struct, array_like=True, gc=False):
    """digest: its place in the record's digests, as most revisions have the same."""

    number: int
    change: str
    support_size: int
    digest: int
    at: float
    forgotten: int | None
    request: bytes | None = None


class _Record(Struct, array_like=True, gc=False):
    """A record as it is written: field by field, without their names. `Adaptation` says what they are.

    digests: hexadecimal ones as bytes, any others as they are
    labels: those that examples have, so that one that is forgotten is nowhere
    """

    model: str
    kind: str
    settings: tuple[int | None, float | None]
    steps: int
    learning_rate: float
    stages: list[_Stage]
    next_example: int
    digests: list[Any]
    history: list[_Revision]
    losses: bytes
    status: str
    created_at: float
    expires_at: float
    label: str | None
    pinned: bool
    quality: Mapping[str, Any] | None
    names: tuple[str, ...]
    labels: tuple[str, ...] = ()


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Record)


def encode(adaptation: Adaptation) -> bytes:
    """A record as bytes. `quality` may have what JSON has."""
    digests = list(dict.fromkeys(revision.digest for revision in adaptation.history))
    labels = adaptation.labels
    record = _Record(
        adaptation.model,
        adaptation.kind,
        adaptation.settings,
        adaptation.steps,
        adaptation.learning_rate,
        [_packed_stage(stage, labels, adaptation.staged) for stage in adaptation.stages],
        adaptation.next_example,
        [_packed_digest(digest) for digest in digests],
        [
            _Revision(number, change.name, size, digests.index(digest), at, forgotten, request)
            for number, change, size, digest, at, forgotten, request in adaptation.history
        ],
        struct.pack(f"<{len(adaptation.losses)}f", *adaptation.losses),
        adaptation.status.name,
        adaptation.created_at,
        adaptation.expires_at,
        adaptation.label,
        adaptation.pinned,
        adaptation.quality,
        adaptation.names,
        labels,
    )
    return bytes([LABELS if labels else NUMBERS]) + _encoder.encode(record)


def decode(owner: str, id: str, data: bytes) -> Adaptation:
    """The record that was encoded. Raises StoreFailed where the bytes are not one of this format."""
    record = _decoded(data)
    digests = [digest if isinstance(digest, str) else digest.hex() for digest in record.digests]
    return Adaptation(
        id=id,
        owner=owner,
        model=record.model,
        kind=record.kind,
        settings=InnerLoopSettings(*record.settings),
        steps=record.steps,
        learning_rate=record.learning_rate,
        stages=tuple(_stage(stage, record.labels) for stage in record.stages),
        next_example=record.next_example,
        history=tuple(
            Revision(
                each.number,
                Change[each.change],
                each.support_size,
                digests[each.digest],
                each.at,
                each.forgotten,
                each.request,
            )
            for each in record.history
        ),
        losses=struct.unpack(f"<{len(record.losses) // 4}f", record.losses),
        status=Status[record.status],
        created_at=record.created_at,
        expires_at=record.expires_at,
        label=record.label,
        pinned=record.pinned,
        quality=_quality(record.quality),
        names=record.names,
    )


def _quality(quality: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The quality of a record; those written before 0.2 call the initial error `untouched_error`."""
    if quality is None or "untouched_error" not in quality:
        return quality
    return {"initial_error" if key == "untouched_error" else key: value for key, value in quality.items()}


def names_in(data: bytes) -> tuple[str, ...]:
    """The names of an encoded record. Raises StoreFailed as `decode` does."""
    return _decoded(data).names


def id_bytes(id: str) -> bytes | None:
    """The 16 bytes of an id, which sort as ids do, or None for a text that is no record's id."""
    try:
        key = bytes.fromhex(id)
    except ValueError:
        return None
    return key if len(key) == 16 and key.hex() == id else None


def check_new(adaptation: Adaptation, names: Sequence[Name]) -> None:
    """Raises ValueError for a record that no store can find again under its id and names."""
    if id_bytes(adaptation.id) is None:
        raise ValueError(f"{adaptation.id!r} is not an id: take 32 hexadecimal digits in lower case")
    if adaptation.names != tuple(name.name for name in names):
        raise ValueError(f"the names to keep {adaptation.id!r} under are not those in its record")


def _decoded(data: bytes) -> _Record:
    if not data or data[0] not in VERSIONS:
        raise StoreFailed(
            f"a record is in format {data[0] if data else None}, and this server reads formats up to {max(VERSIONS)}: "
            "start the version of the server that wrote it"
        )
    try:
        return _decoder.decode(memoryview(data)[1:])
    except msgspec.DecodeError as error:
        raise StoreFailed(f"a record is damaged ({error}): bring the store back from a copy") from error


def _packed_stage(stage: Stage, labels: Sequence[str], staged: bool) -> _Stage:
    numbers, rows = stage.numbers, len(stage.numbers)
    first = int(numbers[0])
    # they ascend, so the last one tells whether any is left out; but those of an episode have one number together
    consecutive = not staged and int(numbers[-1]) - first == rows - 1
    packed = first if consecutive else numbers.astype("<i4").tobytes()
    if labels:
        places = {label: place for place, label in enumerate(labels)}
        targets = np.array([places[label] for label in stage.targets.tolist()], "<u4").tobytes()
    else:
        targets = _raw(stage.targets)
    return _Stage(stage.revision, rows, packed, _raw(stage.inputs), targets)


def _stage(stage: _Stage, labels: Sequence[str]) -> Stage:
    if isinstance(stage.numbers, int):
        numbers = np.arange(stage.numbers, stage.numbers + stage.rows, dtype=np.int32)
    else:
        numbers = np.frombuffer(stage.numbers, "<i4")
    inputs = np.frombuffer(stage.inputs, "<f4").reshape(stage.rows, -1)
    if labels:
        targets = np.array(labels, object)[np.frombuffer(stage.targets, "<u4")]
    else:
        targets = np.frombuffer(stage.targets, "<f4").reshape(stage.rows, -1)
    return Stage(stage.revision, numbers, inputs, targets)


def _raw(array: np.ndarray) -> bytes:
    return array.astype("<f4", copy=False).tobytes()


def _packed_digest(digest: str) -> str | bytes:
    """A hexadecimal digest takes half the space as bytes."""
    try:
        packed = bytes.fromhex(digest)
    except ValueError:
        return digest
    return packed if packed.hex() == digest else digest
