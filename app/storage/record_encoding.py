"""Records as bytes: the version of the format in one byte, then msgpack; arrays are raw little-endian numbers.

Format 2 adds labels, each once. Format 3 adds what these cannot hold: labels that are integers or booleans, weights of
examples, declared classes, and inputs that are not arrays of numbers. Each is written only for records that need it, so
that an older server can read all others. The id and the owner are not encoded: they are the key of a record. A record
of 10 examples with one feature and one target takes about 280 bytes.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from app.bundles.bundle import ValueNames
from app.errors import StoreFailed
from app.learn.adaptation_outcome import Status
from app.service.class_labels import Label, class_indices
from app.service.record import Adaptation, Change, InnerLoopSettings, Revision
from app.service.store_protocol import Name
from app.service.stored_examples import Stage
from app.storage.input_encoding import pack_inputs, unpack_inputs

VERSIONS = NUMBERS, LABELS, GENERAL = 1, 2, 3
"""Of the format: with numbers as targets, with labels that are strings, and for any record.

A new version needs code here that still reads these.
"""


class _Stage(Struct, array_like=True, gc=False):
    """A stage as it is written.

    rows: the number of rows
    numbers: int32; only the first where they are consecutive
    inputs: float32; in format 3 as `app.storage.input_encoding` has them
    targets: float32, NaN where a value is missing; in a record with labels the index of each label, uint32
    """

    revision: int
    rows: int
    numbers: int | bytes
    inputs: bytes
    targets: bytes


class _GeneralStage(_Stage, array_like=True, gc=False):
    """A stage of format 3, or of an older one, which has neither of the fields.

    weights: float32; empty where all are 1
    labels: the index of each class that was declared with these examples, uint32
    """

    weights: bytes = b""
    labels: bytes = b""


class _Revision(Struct, array_like=True, gc=False):
    """A revision as it is written. digest: an index into the record's digests, as most revisions share one."""

    number: int
    change: str
    support_size: int
    digest: int
    at: float
    forgotten: int | None
    request: bytes | None = None


class _Record(Struct, array_like=True, gc=False):
    """A record as it is written: the fields of `Adaptation` in this order, without their names.

    digests: hexadecimal ones as bytes, any others as text
    labels: only those that examples have or that were declared, so that nothing of a forgotten example remains
    """

    model: str
    kind: str
    settings: tuple[int | None, float | None]
    steps: int
    learning_rate: float
    stages: list[_GeneralStage]
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
    labels: tuple[Label, ...] = ()


class _LongRecord(_Record, array_like=True, gc=False):
    """A record with the fields that older servers ignore, or one that such a server wrote, which lacks them."""

    edits: int = 0
    value_names: ValueNames | None = None


class _NamedLabels(_LongRecord, array_like=True, gc=False):
    """A record with a choice of label names, or any other, which lacks these fields too.

    label_names: whether they count; choice: what the client chose
    """

    label_names: bool = False
    choice: bool | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_NamedLabels)


def encode(adaptation: Adaptation) -> bytes:
    """A record as bytes. `quality` may hold JSON's types."""
    digests = list(dict.fromkeys(revision.digest for revision in adaptation.history))
    labels = adaptation.all_labels
    version = _version(adaptation, labels)
    fields = (
        adaptation.model,
        adaptation.kind,
        adaptation.settings[:2],
        adaptation.steps,
        adaptation.learning_rate,
        _pack_general(adaptation, labels) if version == GENERAL else _pack_numbers(adaptation, labels),
        adaptation.next_example,
        [_pack_digest(digest) for digest in digests],
        [
            _Revision(number, change, size, digests.index(digest), at, forgotten, request)
            for number, change, size, digest, at, forgotten, request in adaptation.history
        ],
        struct.pack(f"<{len(adaptation.losses)}f", *adaptation.losses),
        adaptation.status.word,
        adaptation.created_at,
        adaptation.expires_at,
        adaptation.label,
        adaptation.pinned,
        _renamed_key(adaptation.quality, "initial_error", "untouched_error"),
        adaptation.names,
        labels,
    )
    more = adaptation.edits, adaptation.value_names
    choice = adaptation.label_names, adaptation.settings.label_names
    record = _LongRecord(*fields, *more) if choice == (False, None) else _NamedLabels(*fields, *more, *choice)
    return bytes([version]) + _encoder.encode(record)


def _version(adaptation: Adaptation, labels: Sequence[Label]) -> int:
    for stage in adaptation.stages:
        if stage.weights is not None or stage.labels or stage.inputs.dtype.kind == "O":
            return GENERAL
    if not labels:
        return NUMBERS
    return LABELS if all(isinstance(label, str) for label in labels) else GENERAL


def decode(owner: str, id: str, data: bytes) -> Adaptation:
    """Decode a record. Raises StoreFailed if the format is unknown or the bytes are damaged."""
    place = f"adaptation {id}"
    record = _parse(data, place)
    digests = [digest if isinstance(digest, str) else digest.hex() for digest in record.digests]
    return Adaptation(
        id=id,
        owner=owner,
        model=record.model,
        kind=record.kind,
        settings=InnerLoopSettings(*record.settings, record.choice),
        steps=record.steps,
        learning_rate=record.learning_rate,
        stages=_unpack_general(record, place) if data[0] == GENERAL else _unpack_numbers(record),
        next_example=record.next_example,
        history=tuple(
            Revision(
                revision.number,
                Change[revision.change],
                revision.support_size,
                digests[revision.digest],
                revision.at,
                revision.forgotten,
                revision.request,
            )
            for revision in record.history
        ),
        losses=struct.unpack(f"<{len(record.losses) // 4}f", record.losses),
        status=Status[record.status],
        created_at=record.created_at,
        expires_at=record.expires_at,
        label=record.label,
        pinned=record.pinned,
        quality=_renamed_key(record.quality, "untouched_error", "initial_error"),
        names=record.names,
        edits=record.edits,
        label_names=record.label_names,
        value_names=record.value_names,
    )


def _renamed_key(quality: Mapping[str, Any] | None, old: str, new: str) -> Mapping[str, Any] | None:
    """A quality with another name for one of its keys. Records keep the name of version 0.1, which can read them."""
    return quality and {new if key == old else key: value for key, value in quality.items()}


def names_in(data: bytes) -> tuple[str, ...]:
    """The names of an encoded record. Raises StoreFailed as `decode` does."""
    return _parse(data, "adaptation").names


def id_bytes(id: str) -> bytes | None:
    """The 16 bytes of an id, which sort as ids do; None for a text that is not an id."""
    try:
        key = bytes.fromhex(id)
    except ValueError:
        return None
    return key if len(key) == 16 and key.hex() == id else None


def check_new(adaptation: Adaptation, names: Sequence[Name]) -> None:
    """Check that stores can find a new record by its id and names. Raises ValueError."""
    if id_bytes(adaptation.id) is None:
        raise ValueError(f"id: expected 32 hexadecimal digits in lower case, got {adaptation.id!r}")
    if adaptation.names != tuple(name.name for name in names):
        raise ValueError(f"names: expected those in the record of {adaptation.id!r}, got others")


def _parse(data: bytes, place: str) -> _NamedLabels:
    if not data or data[0] not in VERSIONS:
        raise StoreFailed(
            f"{place}: expected a record in format 1 to {max(VERSIONS)}, got "
            f"{f'format {data[0]}' if data else 'an empty one'}: start the version of Innerloop that wrote it"
        )
    try:
        return _decoder.decode(memoryview(data)[1:])
    except msgspec.DecodeError as error:
        raise _damaged(place, error) from error


def _damaged(place: str, error: msgspec.DecodeError) -> StoreFailed:
    return StoreFailed(f"The record of the {place} is damaged ({error}): restore the store from a backup")


def _pack_numbers(adaptation: Adaptation, labels: Sequence[Label]) -> list[Any]:
    """The stages of formats 1 and 2, as `_Stage`s."""
    staged = adaptation.staged
    return [_Stage(*_fields(stage, _float_bytes(stage.inputs), labels, staged)) for stage in adaptation.stages]


def _pack_general(adaptation: Adaptation, labels: Sequence[Label]) -> list[Any]:
    """The stages of format 3, as `_GeneralStage`s."""
    return [
        _GeneralStage(
            *_fields(stage, inputs, labels, adaptation.staged),
            b"" if stage.weights is None else _float_bytes(stage.weights),
            _index_bytes(stage.labels, labels),
        )
        for stage, inputs in zip(adaptation.stages, pack_inputs(adaptation.stages), strict=True)
    ]


def _fields(
    stage: Stage, inputs: bytes, labels: Sequence[Label], staged: bool
) -> tuple[int, int, int | bytes, bytes, bytes]:
    """The fields of a `_Stage`."""
    numbers, rows = stage.numbers, len(stage.numbers)
    first = int(numbers[0]) if rows else 0
    # they ascend, so the last one tells whether any is missing; but the rows of an episode share one number
    consecutive = not rows or (not staged and int(numbers[-1]) - first == rows - 1)
    packed = first if consecutive else numbers.astype("<i4").tobytes()
    targets = _index_bytes(stage.targets.tolist(), labels) if labels else _float_bytes(stage.targets)
    return stage.revision, rows, packed, inputs, targets


def _index_bytes(labels: Sequence[Label], of: Sequence[Label]) -> bytes:
    """The index of each label in `of`, uint32."""
    return np.array(class_indices(labels, of), "<u4").tobytes()


def _unpack_numbers(record: _Record) -> tuple[Stage, ...]:
    """The stages of formats 1 and 2."""
    return tuple(
        _unpack_stage(stage, np.frombuffer(stage.inputs, "<f4").reshape(stage.rows, -1), (), record.labels)
        for stage in record.stages
    )


def _unpack_general(record: _Record, place: str) -> tuple[Stage, ...]:
    """The stages of format 3. Raises StoreFailed if the bytes are damaged."""
    try:
        unpacked = unpack_inputs([stage.inputs for stage in record.stages])
    except msgspec.DecodeError as error:
        raise _damaged(place, error) from error
    return tuple(
        _unpack_stage(stage, inputs, columns, record.labels)
        for stage, (inputs, columns) in zip(record.stages, unpacked, strict=True)
    )


def _unpack_stage(stage: _GeneralStage, inputs: np.ndarray, columns: tuple[str, ...], labels: Sequence[Label]) -> Stage:
    if isinstance(stage.numbers, int):
        numbers = np.arange(stage.numbers, stage.numbers + stage.rows, dtype=np.int32)
    else:
        numbers = np.frombuffer(stage.numbers, "<i4")
    if labels:
        targets = np.array(labels, object)[np.frombuffer(stage.targets, "<u4")]
    else:
        targets = np.frombuffer(stage.targets, "<f4").reshape(stage.rows, -1)
    weights = np.frombuffer(stage.weights, "<f4") if stage.weights else None
    declared = tuple(labels[index] for index in np.frombuffer(stage.labels, "<u4")) if stage.labels else ()
    return Stage(stage.revision, numbers, inputs, targets, weights, declared, columns)


def _float_bytes(array: np.ndarray) -> bytes:
    return array.astype("<f4", copy=False).tobytes()


def _pack_digest(digest: str) -> str | bytes:
    """A hexadecimal digest as bytes, which take half the space."""
    try:
        packed = bytes.fromhex(digest)
    except ValueError:
        return digest
    return packed if packed.hex() == digest else digest
