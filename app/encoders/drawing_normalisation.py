"""Normalise drawings: the same ink, margins and line width, whatever pen and paper they were made with."""

import numpy as np

RASTER = 28
"""The pixels below are those of a raster with this many rows or columns, whichever are fewer."""
FULL_INK = 0.5
"""The typical ink of a drawing is at least this (`_typical_ink`): fainter ones get more."""
USUAL_INK = 0.7
"""What the typical ink of a fainter drawing becomes."""
WIDTHS = (1.1, 2.9)
"""Pixels that usual lines are wide (`_line_width`)."""
USUAL_WIDTH = 1.4
"""What the width of other lines becomes by scaling the drawing, as far as SIZES allow it."""
SIZES = (10, 20)
"""Pixels of the longer side of a drawing that is scaled."""
MAX_BORDER = 0.1
"""Mean ink of the outermost pixels of a usual drawing, at most."""
MAX_PAPER = 0.3
"""Gray paper is at most as dark as this."""
MAX_UNEVENNESS = 0.02
"""Paper is even: its lower quartile minus its lightest pixel is at most this part of the contrast of ink and paper.

Noise and photographs have more.
"""
MIN_CONTRAST = 0.1
"""Of ink and paper: with less, there is no drawing."""
ROUNDING = 1e-5
"""A pixel may exceed 1 by this much, because it is a rounded mean."""
MAX_COVERED = 0.55
"""Part of the raster that a drawing covers, at most: with more, it is no drawing, such as one that is inverted."""
MAX_LENGTH = 3
"""The length of all lines together, in units of the longer side of the drawing, is at most this. Noise has more."""
IMAGE_S = 2e-4
"""Seconds to normalise one drawing that is not usual."""


def normalise(images: np.ndarray) -> np.ndarray:
    """Drawings as usual ones, float32 [image, row, column], each without regard to the others.

    Usual drawings pass unchanged, and so does what is no drawing: light on dark, empty, noise, or numbers outside of
    [0, 1]. The others get full ink on white paper, are scaled until their lines have the usual width, and are
    centred. The limits were chosen with scikit-learn's digits 0 to 4 and the validation characters of Omniglot.
    """
    normalised = images.astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # sums of numbers such as 1e38, which are no drawing
        for index in np.flatnonzero(~_is_usual(images)):
            normalised[index] = _normalise(normalised[index])
    return normalised


def _is_usual(images: np.ndarray) -> np.ndarray:
    """Which images need nothing, [image]."""
    border = np.ones(images.shape[1:], bool)
    border[1:-1, 1:-1] = False
    width = _line_width(images) * RASTER / min(images.shape[1:])
    usual: np.ndarray = (
        (_typical_ink(images) >= FULL_INK)
        & (WIDTHS[0] <= width)
        & (width <= WIDTHS[1])
        & (images[:, border].mean(1) <= MAX_BORDER)
        & (images.min((1, 2)) == 0)
    )
    return usual


def _normalise(image: np.ndarray) -> np.ndarray:
    """One image that is not usual."""
    paper, ink = np.quantile(image, 0.25), image.max()
    no_drawing = image.min() < 0 or ink > 1 + ROUNDING or paper > MAX_PAPER or ink - paper < MIN_CONTRAST
    if no_drawing or paper - image.min() > MAX_UNEVENNESS * (ink - paper):
        return image
    drawing = ((image - paper) / (ink - paper)).clip(0, 1)
    dark = drawing > 0.5
    if dark.mean() > MAX_COVERED:
        return image
    rows, columns = np.flatnonzero(dark.any(1)), np.flatnonzero(dark.any(0))
    side = max(np.ptp(rows), np.ptp(columns)) + 1
    usual_width, low, high = (pixels * min(image.shape) / RASTER for pixels in (USUAL_WIDTH, *SIZES))
    width = _line_width(np.pad(drawing, 1)[None])[0]
    if drawing.sum() / width > MAX_LENGTH * side:
        return image
    factor = np.clip(usual_width / width, low / side, high / side)
    spread = [
        _resample(length, (edge[0] + edge[-1] + 1) / 2, factor)
        for length, edge in zip(image.shape, (rows, columns), strict=True)
    ]
    scaled = spread[0] @ drawing @ spread[1].T
    typical = _typical_ink(scaled[None])[0]
    if typical < FULL_INK:
        scaled *= USUAL_INK / typical
    normalised: np.ndarray = scaled.clip(0, 1)
    return normalised


def _typical_ink(images: np.ndarray) -> np.ndarray:
    """The mean of the pixels, weighted by themselves, [image]."""
    typical: np.ndarray = (images**2).sum((1, 2)) / np.maximum(images.sum((1, 2)), 1e-9)
    return typical


def _line_width(images: np.ndarray) -> np.ndarray:
    """The width of the lines in pixels, [image]: twice the area for the length of the outline.

    The outline is measured along rows and columns: in lines of all directions, this makes it longer by 4 / pi.
    """
    outline = sum(np.abs(np.diff(images, axis=axis)).sum((1, 2)) for axis in (1, 2))
    width: np.ndarray = 8 / np.pi * images.sum((1, 2)) / np.maximum(outline, 1e-9)
    return width


def _resample(length: int, centre: float, factor: float) -> np.ndarray:
    """float32 [new, old]: scales one axis by a factor, and brings `centre` to its middle; outside is paper.

    Each new pixel is the mean of two half ones, and these are interpolated linearly.
    """
    halves = centre + (np.arange(2 * length) + 0.5 - length) / (2 * factor)
    reach = max(1, 0.5 / factor)
    shares = np.maximum(0, 1 - np.abs(halves[:, None] - np.arange(length) - 0.5) / reach) / reach
    new: np.ndarray = shares.reshape(length, 2, length).mean(1).astype(np.float32)
    return new
