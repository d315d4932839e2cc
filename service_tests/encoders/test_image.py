"""Images: every form of a drawing gives the same ink, and what is too large or damaged is refused."""

import base64
from typing import Any

import numpy as np
import pytest

from app.encoders.image import MAX_PIXELS, ImageEncoder
from app.encoders.image_to_ink import picture_ink
from app.errors import Invalid, TrainingError
from service_tests.encoders.cases import drawing, picture, url

ENCODER = ImageEncoder((28, 28))


def ink(image: Any) -> np.ndarray:
    encoded: np.ndarray = ENCODER.encode([image])[0].reshape(28, 28)
    return encoded


@pytest.mark.parametrize("side", [513, 1000, 2000])
def test_a_large_png_is_kept_small_and_gives_nearly_the_same_ink(side: int) -> None:
    row, column = np.mgrid[:side, :side]
    file = picture(np.where(abs(row - column) < side / 40, 0, 255).astype(np.uint8))
    np.testing.assert_allclose(ENCODER.encode([file])[0], picture_ink(file, (28, 28), "").reshape(-1), atol=0.01)


def test_all_forms_of_a_drawing_are_the_same_ink() -> None:
    paper = drawing()
    dark = paper == 0
    file = picture(paper)
    text = base64.b64encode(file).decode()
    forms: list[Any] = [
        file, bytearray(file), text, url(file), f"data:;base64,{text}", picture(paper, mode="RGBA"),
        dark, dark.astype(float).tolist(), dark.astype(int).tolist(), dark.tolist(), dark.ravel().tolist(),
        [dark.ravel().tolist()], dark[None], dark[..., None].astype(np.float16), (255 - paper),
        np.repeat(dark[None], 3, axis=0), np.repeat(255 - paper[..., None], 3, axis=2), np.kron(dark, np.ones((2, 2))),
    ]  # fmt: skip
    for form in forms:
        np.testing.assert_allclose(ink(form), dark, atol=1e-6)
    np.testing.assert_allclose(ENCODER.encode(forms), [dark.ravel()] * len(forms), atol=1e-6)


def test_a_jpeg_is_nearly_the_same() -> None:
    paper = np.kron(drawing(14), np.ones((8, 8), np.uint8))
    np.testing.assert_allclose(ink(picture(paper, "JPEG", quality=95)), ink(picture(paper)), atol=0.05)
    np.testing.assert_array_equal(
        ink(picture(paper, "JPEG", progressive=True)), ink(picture(paper, "JPEG", progressive=False))
    )


def test_arrays_of_the_rasters_shape_pass_unchanged() -> None:
    rows = np.random.default_rng(0).normal(size=(3, 28, 28)).astype(np.float32)
    for posted in (rows, rows.tolist(), rows.reshape(3, -1), rows[:, None], rows[..., None], list(rows)):
        np.testing.assert_array_equal(ENCODER.encode(posted), rows.reshape(3, -1))


@pytest.mark.parametrize("shape", [(3, 28, 28), (28, 28, 3), (1, 40, 30), (30, 40, 1), (40, 30), (1, 784), (784, 1)])
def test_the_channel_axis_may_be_anywhere(shape: tuple[int, ...]) -> None:
    assert ENCODER.encode(np.ones((2, *shape), np.float32)).shape == (2, 784)
    assert ENCODER.encode([np.ones(shape).tolist()]).max() == pytest.approx(1)


def test_colours_count_as_they_do_in_pictures() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (28, 28, 3)).astype(np.uint8)
    np.testing.assert_allclose(ink(colours), 1 - ink(picture(colours)), atol=1 / 255)


def test_the_images_of_a_request_are_bounded_before_they_are_decoded() -> None:
    bomb = picture(np.zeros((4096, 4096), np.uint8))
    count = MAX_PIXELS // 4096**2 + 1
    with pytest.raises(Invalid, match=rf"^\[{count - 1}\]: expected at most {MAX_PIXELS} pixels in all images, got "):
        ENCODER.encode([bomb] * count)


@pytest.mark.parametrize("shape", [(0, 28), (28, 0), (5000, 1), (28, 28, 4), (2, 28, 28, 1), (28, 28, 1, 1)])
def test_other_arrays_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(Invalid, match=r"^\[0\]: expected a PNG, a JPEG or 28 x 28 numbers, got "):
        ENCODER.encode(np.zeros((1, *shape)))


def test_the_first_of_several_bad_rows_is_named() -> None:
    rows = np.zeros((4, 28, 28))
    rows[2:] = 7
    for posted in (rows, list(rows), rows.tolist()):
        with pytest.raises(Invalid, match=r"^\[2\]: expected ink from 0 \(paper\) to 1, got whole numbers up to 7: "):
            ENCODER.encode(posted)


def test_a_number_is_shown_with_all_its_digits() -> None:
    drawing = np.zeros((1, 30, 30), np.float32)
    drawing[0, 0, 0] = 1.0000001
    with pytest.raises(Invalid, match=r"^\[0\]\[0\]\[0\]: expected ink from 0 \(paper\) to 1, got 1\.0000001: "):
        ENCODER.encode(drawing)


def test_the_shape_is_given_or_that_of_the_first_row() -> None:
    assert ImageEncoder.fit([[[0, 1]]]).shape == (1, 2)
    assert ImageEncoder.fit([], shape=[3, 2]).shape == (3, 2)
    wrong: list[Any] = [[3], [3, 0], [3, 2.5]]
    for shape in wrong:
        with pytest.raises(TrainingError, match="shape: expected rows and columns, got "):
            ImageEncoder.fit([], shape=shape)
    with pytest.raises(TrainingError, match="shape: expected rows and columns"):
        ImageEncoder.fit([picture(drawing())])
