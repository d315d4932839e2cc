"""Images as ink on the raster of a network: picture files or arrays of pixels."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from app.encoders import drawing_normalisation
from app.encoders.encoder import Rows, StateError
from app.encoders.error_places import place, show
from app.encoders.finite_numbers import NUMBERS, as_numbers
from app.encoders.image_decoding import FORMATS, read_picture, size
from app.encoders.image_for_record import decoding_seconds, to_keep
from app.encoders.image_to_ink import picture_ink
from app.encoders.pixel_arrays import expected_pixels, read_pixels
from app.encoders.state_checks import check_arrays, check_fields, check_shape
from app.errors import Invalid, TrainingError

MAX_FILES = 20_000
"""Picture files in one list: even the smallest takes .35 ms to decode."""
MAX_PIXELS = 2**24
"""In the picture files of one request (1,500 of 105 x 105): what decoding them may cost in time and memory."""
FILE = str | bytes | bytearray | memoryview
"""The types of a picture file."""
NORMALISATIONS = ("", "drawing")
"""How images become like those of training: not at all, or as `drawing_normalisation.normalise` does it."""


@dataclass(frozen=True, eq=False)
class ImageEncoder:
    """An image is a PNG or JPEG (bytes, base64 or a `data:` URL) or an array of pixels, of any size.

    A picture file is dark ink on light paper. In an array 0 is paper, and 1, true or 255 in uint8 is ink.
    shape: rows and columns of the network's raster
    normalise: one of NORMALISATIONS
    """

    shape: tuple[int, int]
    normalise: str = ""

    name: ClassVar[str] = "image"
    slow: ClassVar[bool] = True
    encodes_later: ClassVar[bool] = False

    @classmethod
    def fit(cls, rows: Rows, shape: Sequence[int] = (), normalise: str = "") -> Self:
        """The encoder for a raster of `shape`; by default that of the first row, which is an array [H, W] then."""
        if not shape:
            first = as_numbers(rows[0]) if len(rows) else None
            shape = () if first is None else first.shape
        if len(shape) != 2 or not all(type(side) is int and side > 0 for side in shape):
            raise TrainingError(f"the encoder image: shape: expected rows and columns, got {list(shape)}")
        if normalise not in NORMALISATIONS:
            raise TrainingError(f"the encoder image: normalise: expected 'drawing' or '', got {normalise!r}")
        fitted = cls((shape[0], shape[1]), normalise)
        fitted.canonical(rows)
        return fitted

    @classmethod
    def from_state(cls, json: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Read back `to_json`."""
        normalises = isinstance(json, Mapping) and "normalise" in json
        check_fields(json, {"shape": list, **({"normalise": str} if normalises else {})})
        check_arrays(arrays, {})
        shape = check_shape(json)
        if len(shape) != 2:
            raise StateError(f"state.shape: expected rows and columns, got {list(shape)}")
        if normalises and json["normalise"] not in NORMALISATIONS[1:]:
            raise StateError(f"state.normalise: expected 'drawing', got {json['normalise']!r:.60}")
        return cls(shape, json.get("normalise", ""))

    @property
    def keeps_features(self) -> bool:
        """Whether arrays stay as they are posted."""
        return not self.normalise

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """Rows and columns."""
        return self.shape

    def seconds(self, kept: Rows) -> float:
        """Of decoding the picture files, and of normalising all images."""
        decoding = sum(decoding_seconds(each) for each in kept if isinstance(each, bytes))
        return decoding + (drawing_normalisation.IMAGE_S * len(kept) if self.normalise else 0)

    def encode(self, rows: Rows) -> np.ndarray:
        """Ink, float32 [row, feature], of decoded files and arrays of pixels."""
        ink = self._ink(self.canonical(rows))
        if self.normalise:
            ink = drawing_normalisation.normalise(ink)
        return ink.reshape(-1, math.prod(self.shape))

    def _ink(self, kept: Rows) -> np.ndarray:
        """The ink of canonical rows, float32 [row, *shape]."""
        if isinstance(kept, np.ndarray):
            return kept
        ink = np.empty((len(kept), *self.shape), np.float32)
        for index, image in enumerate(kept):
            ink[index] = picture_ink(image, self.shape, place(index)) if isinstance(image, bytes) else image
        return ink

    def canonical(self, rows: Rows) -> Rows:
        """Arrays as float32 [row, *shape]; where there are picture files too, a list of bytes and float32 [*shape].

        Of a picture file its pixels are kept: no EXIF or other metadata, upright, at most 512 pixels a side.
        """
        if len(rows) == 0:
            return np.zeros((0, *self.shape), np.float32)
        array = rows if isinstance(rows, np.ndarray) else None
        if set(map(type, rows)) <= {list, tuple}:  # usually all of one form
            array = as_numbers(rows)
        if array is not None and array.dtype.kind in NUMBERS:
            return read_pixels(array, self.shape)
        files = _read_files(rows)
        kept = [to_keep(files[i], place(i)) if i in files else self._pixels(row, i) for i, row in enumerate(rows)]
        return kept if files else np.stack(kept)

    def _pixels(self, row: Any, index: int) -> np.ndarray:
        """One array of pixels, float32 [*shape]."""
        array = as_numbers(row) if isinstance(row, list | tuple | np.ndarray) else None
        if array is None or array.ndim == 0:
            uneven = isinstance(row, list | tuple) and bool(row)
            actual = "rows of unequal length or without numbers" if uneven else show(row)
            raise Invalid(place(index), expected_pixels(self.shape), actual, "send a picture file or its pixels")
        pixels: np.ndarray = read_pixels(array[None], self.shape, index)[0]
        return pixels

    def describe(self) -> dict[str, Any]:
        """See `Encoder.describe`. An image has no columns; the example is a `data:` URL."""
        return {
            "encoder": self.name,
            "shape": list(self.shape),
            "columns": [],
            "formats": [form.name for form in FORMATS],
            "example": drawing(self.shape),
        }

    def to_json(self) -> dict[str, Any]:
        """The shape, and the normalisation if there is one."""
        return {"shape": list(self.shape), **({"normalise": self.normalise} if self.normalise else {})}

    def arrays(self) -> dict[str, np.ndarray]:
        """None."""
        return {}


def _read_files(rows: Rows) -> dict[int, bytes]:
    """The picture files among the rows, by row. Raises Invalid for one too large, or too large with those before it."""
    files, pixels = {}, 0
    if (count := sum(isinstance(row, FILE) for row in rows)) > MAX_FILES:
        fix = "send fewer at a time, or their pixels as a raw array in msgpack"
        raise Invalid("", f"at most {MAX_FILES} PNGs and JPEGs", count, fix)
    for index, row in enumerate(rows):
        if isinstance(row, FILE):
            where = place(index)
            files[index] = read_picture(row, where)
            pixels += math.prod(size(files[index], where))
            if pixels > MAX_PIXELS:
                raise Invalid(where, f"at most {MAX_PIXELS} pixels in all images", pixels, "scale the images down")
    return files


def drawing(shape: tuple[int, int], *, upright: bool = True) -> str:
    """A drawing of one stroke, upright or lying, as a `data:` URL of a PNG."""
    from PIL import Image  # training on numbers or tables does without it

    paper = np.full(shape, 255, np.uint8)
    rows, columns = shape
    if upright:
        paper[rows // 4 : rows - rows // 4, columns // 2] = 0
    else:
        paper[rows // 2, columns // 4 : columns - columns // 4] = 0
    file = io.BytesIO()
    Image.fromarray(paper).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


encoder = ImageEncoder
