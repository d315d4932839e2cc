"""Just enough msgpack (https://github.com/msgpack/msgpack/blob/master/spec.md): maps, lists, texts, bytes, numbers.

A body is a small tree with large blocks of bytes in it, so plain Python is fast enough.
"""

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

MEDIA = "application/msgpack"


def pack(value: Any, default: Callable[[Any], Any]) -> bytes:
    """A value as msgpack. `default` turns a value of another type into one of these.

    Raises OverflowError for a whole number of more than 64 bits.
    """
    return b"".join(_pack(value, default))


def _pack(value: Any, default: Callable[[Any], Any]) -> Iterator[bytes]:
    if value is None or isinstance(value, bool):
        yield b"\xc3" if value else b"\xc0" if value is None else b"\xc2"
    elif isinstance(value, int):
        yield _pack_int(value)
    elif isinstance(value, float):
        yield struct.pack(">Bd", 0xCB, value)
    elif isinstance(value, str):
        text = value.encode()
        yield _head(len(text), 0xA0, 32, 0xDB)
        yield text
    elif isinstance(value, bytes | bytearray | memoryview):
        yield struct.pack(">BI", 0xC6, memoryview(value).nbytes)
        yield bytes(value)
    elif isinstance(value, Mapping):
        yield _head(len(value), 0x80, 16, 0xDF)
        for pair in value.items():
            for each in pair:
                yield from _pack(each, default)
    elif isinstance(value, Sequence):
        yield _head(len(value), 0x90, 16, 0xDD)
        for each in value:
            yield from _pack(each, default)
    else:
        yield from _pack(default(value), default)


def _head(length: int, short: int, below: int, long: int) -> bytes:
    return bytes([short | length]) if length < below else struct.pack(">BI", long, length)


def _pack_int(value: int) -> bytes:
    if -32 <= value < 128:
        return struct.pack(">B", value & 0xFF)
    if not -(2**63) <= value < 2**64:
        raise OverflowError("msgpack has whole numbers of at most 64 bits")
    return struct.pack(">Bq", 0xD3, value) if value < 2**63 else struct.pack(">BQ", 0xCF, value)


NUMBERS = {first: f">{code}" for first, code in zip(range(0xCA, 0xD4), "fdBHIQbhiq", strict=True)}
SIZES = {
    first: f">{code}"
    for firsts, codes in (((0xC4, 0xC5, 0xC6, 0xD9, 0xDA, 0xDB), "BHIBHI"), (range(0xDC, 0xE0), "HIHI"))
    for first, code in zip(firsts, codes, strict=True)
}
"""The types of numbers, and of the lengths of bytes, texts, lists and maps, by their first byte."""


def unpack(data: bytes) -> Any:
    """The value of a msgpack text. Raises ValueError where it is none."""
    try:
        value, end = _unpack(data, 0)
    except (IndexError, TypeError, struct.error) as error:  # TypeError: a list or a map as the key of a map
        raise ValueError("the msgpack text is cut off or damaged") from error
    if end != len(data):
        raise ValueError("bytes follow the msgpack text")
    return value


def _unpack(data: bytes, at: int) -> tuple[Any, int]:
    first, at = data[at], at + 1
    if first < 0x80 or first >= 0xE0:
        return first if first < 0x80 else first - 256, at
    if first < 0xC0:  # short maps, lists and texts have their length in the first byte
        kind, length = (
            (0xDF, first & 15) if first < 0x90 else (0xDD, first & 15) if first < 0xA0 else (0xDB, first & 31)
        )
        return _unpack_many(data, at, kind, length)
    if first in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[first], at
    form = NUMBERS.get(first) or SIZES.get(first)
    if form is None:
        raise ValueError(f"msgpack of type {first:#x}, which bodies do not have")
    (number,) = struct.unpack_from(form, data, at)
    at += struct.calcsize(form)
    return (number, at) if first in NUMBERS else _unpack_many(data, at, first, number)


def _unpack_many(data: bytes, at: int, kind: int, length: int) -> tuple[Any, int]:
    if kind <= 0xDB:
        block, end = data[at : at + length], at + length
        if len(block) != length:
            raise IndexError
        return (block if kind <= 0xC6 else block.decode()), end
    items = []
    for _ in range(length if kind <= 0xDD else 2 * length):
        item, at = _unpack(data, at)
        items.append(item)
    return (items if kind <= 0xDD else dict(zip(items[::2], items[1::2], strict=True))), at
