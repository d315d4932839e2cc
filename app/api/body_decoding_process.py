"""A process that decodes large bodies, because decoding holds the interpreter's lock for seconds.

It answers each body with the same body in msgpack, where numbers are raw arrays, which are quick to decode, and other
long lists are cut into parts; or it says what is wrong with the body. A frame on its input or output is msgpack behind
its length in 4 bytes.

    python -m app.api.body_decoding_process MEMORY_BYTES
"""

import resource
import struct
import sys
from asyncio.subprocess import Process
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from itertools import chain
from typing import Any, TypeVar

import msgspec
import numpy as np

from app.api import schemas
from app.api.codec import JSON, MSGPACK, Codec
from app.encoders.error_places import place as place_of
from app.encoders.finite_numbers import as_numbers
from app.errors import Invalid, Malformed

T = TypeVar("T")
LENGTH = struct.Struct("<I")
PART_ROWS = 2_000
"""Rows of a list that the server decodes at a time, because decoding holds the interpreter's lock."""
MAX_COLUMNS = 10_000
"""Of an object, which cannot be cut into parts."""
MAX_EXACT = 2**53
"""The largest integer up to which float64 has all of them."""
KEPT_KIB = 2**19
"""A process whose peak memory is above this ends after its job, because it would not return all of the memory."""
CODECS: Mapping[str, Codec] = {codec.media: codec for codec in (JSON, MSGPACK)}
FORMS: Mapping[str, type[schemas.RequestBody]] = {
    form.__name__: form
    for form in (
        schemas.AdaptRequest,
        schemas.PredictRequest,
        schemas.ProposeRequest,
        schemas.MoreSupport,
        schemas.EditRequest,
    )
}


class Job(msgspec.Struct, array_like=True):
    """A body to decode. media, form: keys of `CODECS` and `FORMS`."""

    media: str
    form: str
    body: bytes


class Part(msgspec.Struct, array_like=True):
    """Rows at the end of a list. path: the fields that lead to the list; rows: a list in msgpack"""

    path: tuple[str, ...]
    rows: bytes


class Outcome(msgspec.Struct, array_like=True):
    """The body in msgpack. Or the arguments of the error: of `Invalid`, or of `Malformed` where there is no place.

    parts: what was cut off from lists of the body, in order
    last: whether the process ends after this job, to free its memory
    """

    body: bytes = b""
    parts: list[Part] = []
    place: str | None = None
    reason: tuple[str, str, str] | None = None
    last: bool = False

    def read(self, form: type[T]) -> T:
        """The body. Other threads run between its parts."""
        body = MSGPACK.decode(self.body, form)
        for part in self.parts:
            reduce(getattr, part.path, body).extend(msgspec.msgpack.decode(part.rows))  # type: ignore[attr-defined]
        return body

    def check(self) -> "Outcome":
        """The same outcome. Raises Malformed and Invalid."""
        if self.reason is None:
            return self
        raise Malformed(*self.reason) if self.place is None else Invalid(self.place, *self.reason)


def main() -> None:
    """Decode bodies until the input ends, or until one has taken much memory."""
    limit = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    kept = max(KEPT_KIB, _peak_kib())  # at first it is that of the server, whose child this is
    while head := sys.stdin.buffer.read(LENGTH.size):
        job = msgspec.msgpack.decode(sys.stdin.buffer.read(LENGTH.unpack(head)[0]), type=Job)
        outcome = decode(job)
        outcome.last = _peak_kib() > kept
        sys.stdout.buffer.write(_frame(outcome))
        sys.stdout.buffer.flush()
        if outcome.last:
            return


def decode(job: Job) -> Outcome:
    """The outcome of a job."""
    try:
        body = _with_raw_arrays(CODECS[job.media].decode(job.body, FORMS[job.form]))
        parts = list(_cut(body))
        return Outcome(MSGPACK.encoder.encode(body), parts)
    except Invalid as error:
        return Outcome(place=error.place, reason=error.reason)
    except Malformed as error:
        return Outcome(reason=error.reason)
    except OverflowError:  # msgpack has no such whole numbers
        fix = "write larger numbers with an exponent, such as 1e30, and larger labels as strings"
        return Outcome(place="", reason=("whole numbers of at most 64 bits in a large body", "a larger one", fix))
    except MemoryError:
        fix = "send numbers as raw arrays in msgpack, or fewer of them"
        return Outcome(reason=("a body whose values fit into memory", "more", fix))


async def exchange(process: Process, job: Job) -> Outcome:
    """Send a job to a process that runs `main`. Raises IncompleteReadError or OSError if the process ends instead."""
    assert process.stdin is not None, "it is a pipe"
    assert process.stdout is not None, "it is a pipe"
    process.stdin.write(_frame(job))
    await process.stdin.drain()
    (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
    outcome = msgspec.msgpack.decode(await process.stdout.readexactly(length), type=Outcome)
    if outcome.last:
        await process.wait()
    return outcome


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _frame(message: msgspec.Struct) -> bytes:
    frame = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(frame)) + frame


def _with_raw_arrays(value: Any) -> Any:
    """The same value, with raw arrays in the place of lists of numbers."""
    match value:
        case schemas.RawArray():
            return value
        case msgspec.Struct():
            for name in value.__struct_fields__:
                setattr(value, name, _with_raw_arrays(getattr(value, name)))
        case [schemas.Episode(), *_]:
            return [_with_raw_arrays(each) for each in value]
        case [bool() | int() | float() | list(), *_]:
            return _raw_array(value)
    return value


def _cut(body: msgspec.Struct, path: tuple[str, ...] = ()) -> Iterator[Part]:
    """Cut the lists of a body to `PART_ROWS` rows, and yield the rest of them. Raises Invalid."""
    for name in body.__struct_fields__:
        match getattr(body, name):
            case msgspec.Struct() as inner:
                yield from _cut(inner, (*path, name))
            case list([msgspec.Struct(), *_]):
                continue
            case list(rows):
                _check_columns(rows, ".".join((*path, name)))
                for start in range(PART_ROWS, len(rows), PART_ROWS):
                    yield Part((*path, name), MSGPACK.encoder.encode(rows[start : start + PART_ROWS]))
                del rows[PART_ROWS:]


def _check_columns(rows: list[Any], place: str) -> None:
    for index, row in enumerate(rows):
        if isinstance(row, dict) and len(row) > MAX_COLUMNS:
            raise Invalid(place + place_of(index), f"at most {MAX_COLUMNS:,} columns", f"{len(row):,}")


def _raw_array(rows: list[Any]) -> Any:
    """Nested lists of numbers as a raw array; the same where they are uneven, or some are labels or images."""
    if bool in (types := set(map(type, rows))) and len(types) > 1:
        return rows  # labels that are told apart by type
    array = as_numbers(rows)
    if array is None or _changes_values(rows, array):
        return rows
    return schemas.RawArray(shape=list(array.shape), data=array.tobytes(), dtype=array.dtype.name)  # type: ignore[arg-type]  # int64, uint64, float64 or bool


def _changes_values(rows: list[Any], array: np.ndarray) -> bool:
    """Whether some of the values are others in the array: booleans beside numbers, or large integers beside floats."""
    if array.dtype.kind == "b" or array.ndim == 1:
        return False
    if array.dtype.kind == "f" and array.size and np.abs(array).max() > MAX_EXACT:
        return True
    values: Iterable[Any] = rows
    for _ in range(array.ndim - 1):
        values = chain.from_iterable(values)
    return bool in set(map(type, values))


if __name__ == "__main__":
    main()
