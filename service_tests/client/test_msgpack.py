"""Our msgpack against msgspec's."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from innerloop_client.msgpack import pack, unpack

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    SCALARS | st.binary(),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(), inner, max_size=20),
    max_leaves=40,
)
LONG: list[Any] = [
    "x" * 40, "x" * 300, "x" * 70_000, b"", b"x" * 300, b"x" * 70_000, [0] * 15, [0] * 16, [1.5] * 70_000,
    {str(n): n for n in range(15)}, {str(n): n for n in range(70_000)}, [127, 128, -32, -33, -129, 2**31, 2**63],
]  # fmt: skip


def refuse(value: Any) -> Any:
    raise TypeError(type(value))


@given(VALUES)
def test_what_is_packed_is_msgpack(value: Any) -> None:
    assert msgspec.msgpack.decode(pack(value, refuse)) == value


@given(VALUES)
def test_it_reads_msgpack(value: Any) -> None:
    assert unpack(msgspec.msgpack.encode(value)) == value


@pytest.mark.parametrize("value", LONG, ids=range(len(LONG)))
def test_every_length(value: Any) -> None:
    assert msgspec.msgpack.decode(pack(value, refuse)) == value
    assert unpack(msgspec.msgpack.encode(value)) == value


def test_other_types_go_through_the_default() -> None:
    assert unpack(pack({"at": 1j}, lambda value: [value.real, value.imag])) == {"at": [0.0, 1.0]}
    with pytest.raises(TypeError, match="complex"):
        pack(1j, refuse)


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, 10**400])
def test_a_whole_number_beyond_64_bits_is_refused(value: int) -> None:
    with pytest.raises(OverflowError, match="at most 64 bits"):
        pack([value], refuse)


@pytest.mark.parametrize(
    "data", [b"", b"\xc6\x00\x00\x00\x05abc", b"\x92\x01", b"\xcb\x00", b"\x01\x02", b"\xd4\x01\x02"]
)
def test_what_is_no_msgpack_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="msgpack"):
        unpack(data)


@given(st.binary(max_size=60))
def test_any_bytes_give_a_value_or_a_value_error(data: bytes) -> None:
    with suppress(ValueError):
        unpack(data)
