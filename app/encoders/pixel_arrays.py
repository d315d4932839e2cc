"""Arrays of pixels as ink on the raster of a network.

In an array 0 is paper, and 1, true or 255 in uint8 is ink. A picture file is dark on light instead.
"""

import math
from collections.abc import Sequence

import numpy as np

from app.encoders.error_places import place
from app.encoders.finite_numbers import check_finite, many, to_float32
from app.encoders.image_decoding import MAX_SIDE
from app.encoders.image_to_ink import fit_raster
from app.errors import Invalid, exact

LUMA = (0.299, 0.587, 0.114)
"""How bright red, green and blue are (ITU-R BT.601), as in pictures."""
GRAY_LEVELS = "send gray levels as an array of uint8, or divide them by 255"


def read_pixels(array: np.ndarray, shape: tuple[int, int], first: int = 0) -> np.ndarray:
    """Numbers [row, ...] as float32 [row, *shape].

    A row is all pixels in one row, or [H, W], [1, H, W], [H, W, 1], [H, W, 3] or [3, H, W]. Gray ones of `shape` pass
    as they are; others have to be in [0, 1], and are made gray and fitted to the raster (`image_to_ink.fit_raster`).
    first: the number of the first row, for errors

    Raises Invalid for the first row that has another form, or values that are not finite or no ink.
    """
    if first:  # a row of its own: its place is one of many rows
        try:
            return read_pixels(array, shape)
        except Invalid as error:
            raise Invalid(error.place.replace("[0]", place(first), 1), *error.reason) from None
    check_finite(array)
    values = array / 255 if array.dtype == np.uint8 else array
    gray = _one_channel(values)
    if gray is None or (gray.ndim == 2 and gray.shape[1] != math.prod(shape)):
        raise Invalid(place(0), expected_pixels(shape), many(array.shape[1:]), _forms(shape))
    fits = gray.ndim == 2 or 1 in gray.shape[1:] or gray.shape[1:] == shape
    if fits and math.prod(gray.shape[1:]) == math.prod(shape):
        return _checked(to_float32(gray).reshape(-1, *shape))
    _check_between(gray)
    return to_float32(np.stack([fit_raster(each, shape) for each in gray.astype(np.float32)]))


def expected_pixels(shape: Sequence[int]) -> str:
    """What an image can be."""
    return f"a PNG, a JPEG or {many(shape)}"


def _forms(shape: tuple[int, int]) -> str:
    """What to send instead of an array of another form."""
    rows, columns = shape
    return (
        f"send {many((rows * columns,))} in one row, {rows} row{'' if rows == 1 else 's'} of {many((columns,))}, or "
        "nested lists [rows][columns] of another size"
    )


def _one_channel(values: np.ndarray) -> np.ndarray | None:
    """[row, H, W] or [row, pixel]; None where there are other axes or channels, no pixels or too many a side."""
    if min(values.shape[1:], default=0) < 1 or (values.ndim > 2 and max(values.shape[1:]) > MAX_SIDE):
        return None
    if values.ndim < 4:
        return values if values.ndim > 1 else None
    if values.ndim > 4:
        return None
    axis = next((axis for axis in (3, 1) if values.shape[axis] in (1, 3)), None)
    if axis is None:
        return None
    channels = np.moveaxis(values, axis, 0)
    if len(channels) == 1:
        gray: np.ndarray = channels[0]
        return gray
    _check_between(values)
    red, green, blue = (share * channel for share, channel in zip(LUMA, channels.astype(np.float64), strict=True))
    luma: np.ndarray = red + green + blue
    return luma


def _checked(ink: np.ndarray) -> np.ndarray:
    """The same. Raises Invalid at a row of whole numbers above 1, which are gray levels of another type."""
    if ink.size and ink.max() >= 2:
        flat = ink.reshape(len(ink), -1)
        levels = (flat.max(axis=1) >= 2) & (flat == np.rint(flat)).all(axis=1)
        if levels.any():
            row = int(np.argmax(levels))
            expected = "ink from 0 (paper) to 1"
            raise Invalid(place(row), expected, f"whole numbers up to {exact(flat[row].max())}", GRAY_LEVELS)
    return ink


def _check_between(values: np.ndarray) -> None:
    """Raises Invalid at the first number outside of [0, 1]."""
    outside = (values < 0) | (values > 1)
    if outside.any():
        row, *path = map(int, np.argwhere(outside)[0])
        raise Invalid(place(row, *path), "ink from 0 (paper) to 1", exact(values[row, *path]), GRAY_LEVELS)
