"""Arrays as raw bytes."""

from typing import Annotated, Literal

from msgspec import Meta

from app.api.schemas.body_types import RequestBody


class RawArray(RequestBody):
    """An array as raw bytes in row-major order, instead of nested lists. In msgpack it is smaller and faster."""

    shape: Annotated[
        list[Annotated[int, Meta(ge=0)]],
        Meta(
            description="Length of each axis: [rows, columns], [rows] if a row is a single number, or [rows, ...] with "
            "the model's `shape`",
            min_length=1,
            max_length=4,
        ),
    ]
    data: Annotated[bytes, Meta(description="The numbers as little-endian bytes: binary in msgpack, base64 in JSON")]
    dtype: Annotated[
        Literal[
            "float32",
            "float64",
            "float16",
            "int8",
            "int16",
            "int32",
            "int64",
            "uint8",
            "uint16",
            "uint32",
            "uint64",
            "bool",
        ],
        Meta(
            description="Type of each number in `data`, as numpy names it: `float32` has 4 bytes, `int64` 8 and `bool` "
            "1. The default is `float32`"
        ),
    ] = "float32"

    def __len__(self) -> int:
        """The number of rows."""
        return self.shape[0]
