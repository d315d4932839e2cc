"""Images: every form gives the answer of the file itself, and what is sent is small and says nothing else."""

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from innerloop_client import Client, UnsupportedInput, images
from innerloop_client.images import read_image
from service_tests.bundles import write_bundle
from service_tests.client.watched import Watched
from service_tests.encoders.cases import drawing, picture, stroke, url

SMALL = [picture(drawing(105, seed)) for seed in range(4)]
LABELS = ["a", "b", "a", "b"]


@pytest.fixture
def http() -> Watched:
    return Watched()


@pytest.fixture
def letters(serve_live: Callable[..., str], tmp_path: Path, http: Watched) -> Iterator[Client]:
    """A client of a server with `letters`, which takes images of 28 x 28."""
    from app.learn.networks import NetworkSpec

    write_bundle(tmp_path / "models/letters", "omniglot", "protonet", NetworkSpec("conv4", {"side": 28, "filters": 4}))
    with Client(serve_live(models_dir=tmp_path / "models"), http=http) as client:
        yield client


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_every_form_of_an_image(letters: Client, http: Watched, tmp_path: Path) -> None:
    paths = [tmp_path / f"{index}.png" for index in range(4)]
    for path, data in zip(paths, SMALL, strict=True):
        path.write_bytes(data)
    forms: dict[str, Any] = {
        "bytes": SMALL,
        "paths": list(paths),
        "names": [str(path) for path in paths],
        "PIL": [opened(data) for data in SMALL],
        "files": [io.BytesIO(data) for data in SMALL],
        "array of names": np.array([str(path) for path in paths]),
        "array of PIL": pd.Series([opened(data) for data in SMALL]).to_numpy(),
        "base64": [base64.b64encode(data).decode() for data in SMALL],
        "URL": [url(data) for data in SMALL],
    }
    expected = letters.adapt("letters", SMALL, LABELS).predict_proba(SMALL)
    for form, values in forms.items():
        probabilities = letters.adapt("letters", values, LABELS).predict_proba(values)
        np.testing.assert_allclose(probabilities, expected, atol=1e-5, err_msg=form)
    kinds = [kind for kind, body in http.sent if "model" in body]
    assert kinds == ["msgpack"] * 8 + ["json"] * 2


def test_arrays_of_pixels_are_stacked(letters: Client, http: Watched) -> None:
    pixels = [np.asarray(opened(data)) < 128 for data in SMALL]
    stacked = letters.adapt("letters", pixels, LABELS).predict_proba(SMALL)
    np.testing.assert_allclose(stacked, letters.adapt("letters", SMALL, LABELS).predict_proba(SMALL), atol=1e-5)
    assert http.sent[0][1]["support"]["inputs"]["shape"] == [4, 105, 105]


def test_pixels_mean_the_same_in_every_form(letters: Client) -> None:
    """Levels of gray from 0 to 255, few or many, alone or among other images, and ink of 0 and 1 as levels."""
    levels = np.stack([255 - np.asarray(opened(data)) for data in SMALL])
    base = letters.adapt("letters", list(levels), LABELS)
    expected = base.predict_proba(SMALL)
    mixed: list[Any] = [levels[0], SMALL[1], levels[2][None], levels[3]]
    for form in (levels, list(levels), torch.tensor(levels), mixed):
        np.testing.assert_allclose(base.predict_proba(form), expected, atol=1e-5)
    few = np.array([[[0, 1], [1, 0]]], np.uint8).repeat(14, 1).repeat(14, 2)
    expected = base.predict_proba(few.repeat(6, 0))[:1]
    for form in (few, list(few), few[:, None], few.reshape(1, -1)):
        np.testing.assert_allclose(base.predict_proba(form), expected, atol=1e-5)


def test_levels_of_gray_beside_other_forms(letters: Client) -> None:
    """An array of uint8 means the same beside an array, a list or an image of any form."""
    levels, other = (255 - np.asarray(opened(data)) for data in SMALL[:2])
    base = letters.adapt("letters", SMALL, LABELS)
    expected = base.predict_proba(SMALL[:2])
    small, flat = [side[::3, ::3][:28, :28] for side in (levels, other)], [levels[:28, :28], other[:28, :28]]
    for form in (other / 255, (other / 255).tolist(), SMALL[1], torch.tensor(other / 255), other[None], other):
        np.testing.assert_allclose(base.predict_proba([levels, form]), expected, atol=1e-5)
    for first, second in (small, flat):
        expected = base.predict_proba(np.stack([first, second]))
        for form in (second.reshape(-1) / 255, (second.reshape(-1) / 255).tolist(), second):
            np.testing.assert_allclose(base.predict_proba([first.reshape(-1), form]), expected, atol=1e-5)


def test_whole_numbers_of_uint8_are_no_levels_of_gray_elsewhere(innerloop: Client) -> None:
    rows: list[Any] = [np.array([3], np.uint8), [0.5], np.array([200], np.uint8), np.array([1], np.float32)]
    assert innerloop.adapt("sinusoid", rows, [1, 2, 3, 4], steps=0).support()["inputs"] == [[3], [0.5], [200], [1]]


TRANSPARENT: list[tuple[str, Any]] = [
    ("1", 255),
    ("L", 10),
    ("RGB", (10, 10, 10)),
    ("P", 10),
    ("P", b"\xff" * 10 + b"\0"),
]


@pytest.mark.parametrize(("mode", "color"), TRANSPARENT, ids=str)
@pytest.mark.parametrize("factor", [1, 8])
def test_a_color_that_counts_as_transparent_is_paper(
    letters: Client, tmp_path: Path, mode: str, color: Any, factor: int
) -> None:
    """In every form of the file."""
    pixels = np.where(np.asarray(opened(SMALL[0])) < 128, 0, 255 if mode == "1" else 10).astype(np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(pixels.repeat(factor, 0).repeat(factor, 1)).convert(mode).save(path, transparency=color)
    base = letters.adapt("letters", SMALL, LABELS)
    with Image.open(path) as image:
        assert opened(read_image(image, "x")).mode == "RGBA"
        for form in (image, path):
            expected = base.predict_proba([url(path.read_bytes())])
            np.testing.assert_allclose(base.predict_proba([form]), expected, atol=0.002)
    np.testing.assert_allclose(expected, base.predict_proba(SMALL[:1]), atol=0.02)


@pytest.mark.parametrize("mode", ["LA", "La", "PA", "RGBA", "RGBa"])
def test_opacity_is_kept(letters: Client, mode: str) -> None:
    ink = Image.fromarray(255 - np.asarray(opened(SMALL[0])))
    image = Image.merge("LA", [Image.new("L", ink.size, 0), ink])
    image = image.convert(mode) if mode == "La" else image.convert("RGBA").convert(mode)
    base = letters.adapt("letters", SMALL, LABELS)
    np.testing.assert_allclose(base.predict_proba([image]), base.predict_proba(SMALL[:1]), atol=1e-3)


def test_an_image_of_the_user_stays_as_it_is(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.fromarray(stroke(2048, 60)).save(tmp_path / "a.jpg", exif=exif, comment="at home")
    with Image.open(tmp_path / "a.jpg") as image, Image.open(tmp_path / "a.jpg") as other:
        info = dict(image.info)
        assert opened(read_image(image, "x")).size == (512, 512)
        assert (image.size, image.mode, image.info, image.getexif()[0x0112]) == ((2048, 2048), "L", info, 6)
        assert image.tobytes() == other.tobytes()


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "P", "LA", "I;16", "CMYK"])
def test_a_large_image_is_shrunk_as_the_server_shrinks_it(letters: Client, mode: str) -> None:
    pixels = stroke(1024, 60)
    image = Image.fromarray(pixels.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(pixels).convert(mode)
    sent = read_image(image, "x")
    assert opened(sent).size == (512, 512)
    file = io.BytesIO()
    image.save(file, "JPEG" if mode == "CMYK" else "PNG")
    example = picture(stroke(105, 4))
    base = letters.adapt("letters", SMALL[:2], ["a", "b"])
    ours, theirs = (base.predict_proba([each, example])[0] for each in (sent, url(file.getvalue())))
    np.testing.assert_allclose(ours, theirs, atol=0.02)


def test_no_metadata_is_sent_and_pictures_are_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "at home"  # turned by 90 degrees; a description
    image = Image.fromarray(stroke(64, 6)[:, :32])
    for form in ("JPEG", "PNG"):
        file = io.BytesIO()
        image.save(file, form, exif=exif)
        sent = read_image(file.getvalue(), "x")
        assert b"at home" in file.getvalue()
        assert b"at home" not in sent
        assert (opened(sent).size, dict(opened(sent).getexif())) == ((64, 32), {})
    image.info["comment"] = "at home"
    assert b"at home" not in read_image(image, "x")


def test_a_small_plain_file_is_sent_as_it_is() -> None:
    for data in (SMALL[0], picture(drawing(), "JPEG")):
        assert read_image(data, "x") == data


def test_without_pillow_files_are_sent_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "is_installed", lambda: False)
    large = picture(stroke(1024, 60))
    assert read_image(large, "x") == large


def test_what_is_no_image_is_refused(letters: Client, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedInput, match=r"x\[1\]: expected an image, got 3 bytes of something else"):
        letters.adapt("letters", [SMALL[0], b"abc"], ["a", "b"])
    with pytest.raises(UnsupportedInput, match=r"x\[0\]: cannot read .*none.png: No such file"):
        letters.adapt("letters", [tmp_path / "none.png"], ["a"])
    with pytest.raises(UnsupportedInput, match=r"x\[0\]: cannot read the image: "):
        letters.adapt("letters", [picture(stroke(1024, 60))[:1000]], ["a"])
    with pytest.raises(UnsupportedInput, match=r"queries: .* put a single value into a list"):
        letters.predict("letters", SMALL[0], SMALL, LABELS)
