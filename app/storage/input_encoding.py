"""Inputs of any form as bytes, for format 3 of records: msgpack, with arrays as an extension of it."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from msgspec.msgpack import Ext

from app.service.stored_examples import Stage, object_rows

ARRAY = 1
"""The type of the extension: a shape and float32 numbers."""


class _Inputs(Struct, array_like=True, gc=False):
    """The inputs of a stage. columns: None where they are those of the stage before"""

    rows: Any
    columns: tuple[str, ...] | None


class _Array(Struct, array_like=True, gc=False):
    shape: tuple[int, ...]
    data: bytes


def pack_inputs(stages: Sequence[Stage]) -> list[bytes]:
    """The inputs of each stage, with the names of the columns where they change."""
    packed = []
    columns: tuple[str, ...] = ()
    for stage in stages:
        rows = stage.inputs.tolist() if stage.inputs.dtype == object else stage.inputs
        packed.append(_encoder.encode(_Inputs(rows, None if stage.columns == columns else stage.columns)))
        columns = stage.columns
    return packed


def unpack_inputs(packed: Sequence[bytes]) -> list[tuple[np.ndarray, tuple[str, ...]]]:
    """The inputs and the columns of each stage. Raises msgspec.DecodeError."""
    stages = []
    columns: tuple[str, ...] = ()
    for each in packed:
        inputs = _decoder.decode(each)
        columns = columns if inputs.columns is None else inputs.columns
        stages.append((inputs.rows if isinstance(inputs.rows, np.ndarray) else object_rows(inputs.rows), columns))
    return stages


def _pack_array(value: Any) -> Ext:
    if isinstance(value, np.ndarray):
        return Ext(ARRAY, msgspec.msgpack.encode(_Array(value.shape, value.astype("<f4", copy=False).tobytes())))
    raise NotImplementedError(f"cannot write {type(value)}")


def _unpack_array(code: int, data: memoryview) -> np.ndarray:
    if code != ARRAY:
        raise msgspec.DecodeError(f"extension {code}")
    array = msgspec.msgpack.decode(data, type=_Array)
    return np.frombuffer(array.data, "<f4").reshape(array.shape)


_encoder = msgspec.msgpack.Encoder(enc_hook=_pack_array)
_decoder = msgspec.msgpack.Decoder(_Inputs, ext_hook=_unpack_array)
