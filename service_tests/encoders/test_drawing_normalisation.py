"""Drawings of any pen and paper look like usual ones, and what is no drawing stays as it is."""

import numpy as np
import pytest

from app.encoders.drawing_normalisation import MAX_BORDER, SIZES, USUAL_WIDTH, normalise
from app.encoders.image import ImageEncoder
from app.encoders.image_to_ink import fit_raster
from service_tests.encoders.cases import picture

RASTER = (28, 28)


def cross(side: int, width: float, size: float = 0.6, shift: float = 0) -> np.ndarray:
    """Ink of two strokes that cross, [side, side]. width: in pixels; size, shift: as parts of the side"""
    row, column = (np.mgrid[:side, :side] + 0.5) - side / 2 - shift * side
    long = (abs(row) < size * side / 2) & (abs(column) < size * side / 2)
    ink: np.ndarray = (long & ((abs(row) < width / 2) | (abs(column) < width / 2))).astype(np.float32)
    return ink


def on_raster(ink: np.ndarray) -> np.ndarray:
    fitted: np.ndarray = normalise(fit_raster(ink, RASTER)[None])[0]
    return fitted


def box(ink: np.ndarray) -> tuple[float, float, float]:
    """The middle of the dark pixels along both axes, and their longer side."""
    rows, columns = (np.flatnonzero((ink > ink.max() / 2).any(axis)) for axis in (1, 0))
    return (
        (rows[0] + rows[-1] + 1) / 2,
        (columns[0] + columns[-1] + 1) / 2,
        float(max(np.ptp(rows), np.ptp(columns)) + 1),
    )


def test_a_usual_drawing_passes_unchanged() -> None:
    usual = cross(28, 2, shift=0.1)
    np.testing.assert_array_equal(on_raster(usual), usual)


@pytest.mark.parametrize(
    "ink",
    [
        pytest.param(cross(8, 2, 1), id="8 x 8 without margins"),
        pytest.param(cross(105, 1), id="a thin pen"),
        pytest.param(cross(105, 16), id="a thick pen"),
        pytest.param(0.2 * cross(28, 2), id="a faint pen"),
        pytest.param(0.2 + 0.4 * cross(28, 2), id="gray paper"),
        pytest.param(cross(28, 5, 0.5, shift=0.25), id="off-centre"),
    ],
)
def test_other_pens_and_papers_become_usual(ink: np.ndarray) -> None:
    drawing = on_raster(ink)
    row, column, side = box(drawing)
    assert (row, column) == pytest.approx((14, 14), abs=1)
    assert SIZES[0] - 2 <= side <= SIZES[1] + 2
    assert drawing.max() > 0.6
    outline = sum(np.abs(np.diff(drawing, axis=axis)).sum() for axis in (0, 1))
    assert 0.7 * USUAL_WIDTH < 8 / np.pi * drawing.sum() / outline < 2.5 * USUAL_WIDTH
    assert np.concatenate([drawing[[0, -1]].ravel(), drawing[:, [0, -1]].ravel()]).mean() < MAX_BORDER


def test_the_second_time_changes_little() -> None:
    for ink in (cross(8, 2, 1), cross(105, 1), 0.2 + 0.4 * cross(28, 2)):
        once = on_raster(ink)
        np.testing.assert_allclose(normalise(once[None])[0], once, atol=0.02)


def test_what_is_no_drawing_stays() -> None:
    generator = np.random.default_rng(0)
    coarse = np.kron(generator.random((8, 8)), np.ones((4, 4)))[2:30, 2:30]
    others = np.stack(
        [
            1 - cross(28, 2),
            1 - fit_raster(cross(12, 2), RASTER),
            np.zeros(RASTER),
            np.ones(RASTER),
            np.full(RASTER, 0.3),
            generator.random(RASTER),
            generator.random(RASTER) < 0.5,
            generator.random(RASTER) < 0.2,
            coarse,
            np.add.outer(np.arange(28), np.arange(28)) / 54,
            generator.normal(size=RASTER),
            255 * cross(28, 1),
        ]
    ).astype(np.float32)
    np.testing.assert_array_equal(normalise(others), others)


def test_files_and_arrays_of_a_drawing_give_the_same() -> None:
    encoder, ink = ImageEncoder(RASTER, "drawing"), cross(28, 5, 0.9)
    file = picture((255 * (1 - ink)).astype(np.uint8))
    np.testing.assert_allclose(
        encoder.encode([file, ink, ink.ravel().tolist()]), [on_raster(ink).ravel()] * 3, atol=1e-5
    )


def test_an_encoder_that_does_not_normalise_is_stored_as_before() -> None:
    assert ImageEncoder(RASTER).to_json() == {"shape": [28, 28]}
    assert ImageEncoder(RASTER).keeps_features
    assert ImageEncoder(RASTER).seconds([cross(28, 2)]) == 0
    assert ImageEncoder(RASTER, "drawing").seconds([cross(28, 2)]) > 0
    assert ImageEncoder(RASTER, "drawing").to_json() == {"shape": [28, 28], "normalise": "drawing"}
    assert not ImageEncoder(RASTER, "drawing").keeps_features


def test_huge_pixels_stay_as_they_are() -> None:
    """Their sums overflow, of which numpy warns nobody: warnings are errors here."""
    images = np.stack([1e38 * cross(28, 2), 3e38 * (cross(28, 2) - cross(28, 4)), np.full(RASTER, 3e38)])
    images = images.astype(np.float32)
    np.testing.assert_array_equal(normalise(images), images)
