"""What becomes of an image before it is sent: its levels of gray, and what cannot be read."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from innerloop_client import UnsupportedInput
from innerloop_client.images import read_image


@pytest.mark.parametrize(
    ("mode", "levels", "expected"),
    [
        ("I", [0, 100, 255], [0, 100, 255]),
        ("I", [0, 100 * 257, 65535], [0, 100, 255]),
        ("I;16", [0, 100 * 257, 65535], [0, 100, 255]),
        ("I;16B", [0, 100 * 257, 65535], [0, 100, 255]),
        ("I;16", [0, 1, 255], [0, 0, 1]),
        ("F", [0.0, 0.4, 1.0], [0, 102, 255]),
        ("F", [-0.01, 0.4, 1.01], [0, 102, 255]),
        ("F", [0.0, 100.0, 255.0], [0, 100, 255]),
    ],
    ids=str,
)
def test_levels_of_gray_of_more_than_8_bits(mode: str, levels: list[float], expected: list[int]) -> None:
    image = Image.new(mode, (3, 1))
    for index, level in enumerate(levels):
        image.putpixel((index, 0), level)
    assert np.asarray(Image.open(io.BytesIO(read_image(image, "x")))).tolist() == [expected]


def test_a_level_of_16_bits_that_stands_for_transparent_pixels() -> None:
    file = io.BytesIO()
    Image.fromarray(np.array([[0, 257, 65535]], np.uint16)).save(file, "PNG", transparency=257)
    with Image.open(file) as image:
        sent = np.asarray(Image.open(io.BytesIO(read_image(image, "x"))))
    assert sent.tolist() == [[[0, 255], [1, 0], [255, 255]]]


def closed(path: Path) -> Any:
    image = Image.open(path)
    image.close()
    return image


UNREADABLE: list[tuple[Callable[[Path], Any], str]] = [
    (lambda path: Image.new("L", (0, 5)), "it has 0 x 5 pixels"),
    (lambda path: Image.new("F", (2, 2), float("nan")), "levels of gray that are not finite"),
    (lambda path: Image.open(io.BytesIO(path.read_bytes()[:-40])), "truncated"),
    (closed, "closed"),
    (lambda path: Path("a\0b.png"), "null"),
    (lambda path: io.StringIO("a"), "expected bytes of an image, got str: open the file as 'rb'"),
]


@pytest.mark.parametrize(("make", "reason"), UNREADABLE, ids=[reason for _, reason in UNREADABLE])
def test_images_that_cannot_be_read(tmp_path: Path, make: Callable[[Path], Any], reason: str) -> None:
    path = tmp_path / "a.png"
    Image.effect_noise((64, 64), 50).save(path)
    with pytest.raises(UnsupportedInput, match=rf"^x\[0\]: .*({reason})"):
        read_image(make(path), "x[0]")


def test_gray_that_is_multiplied_by_its_opacity() -> None:
    image = Image.merge("LA", [Image.new("L", (2, 2), 200), Image.new("L", (2, 2), 128)])
    with Image.open(io.BytesIO(read_image(image.convert("La"), "x"))) as sent:
        assert sent.mode == "RGBA"
        np.testing.assert_allclose(np.asarray(sent)[0, 0], [200, 200, 200, 128], atol=1)


def test_an_image_that_is_too_large_to_open(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    Image.new("L", (64, 64)).save(file, "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UnsupportedInput, match=r"x: cannot read the image: .*bomb"):
        read_image(file, "x")


def test_open_files(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("L", (3, 2), 7).save(path)
    memory = io.BytesIO(path.read_bytes())
    with path.open("rb") as file:
        for each in (file, file, memory, memory):
            assert read_image(each, "x") == path.read_bytes()
