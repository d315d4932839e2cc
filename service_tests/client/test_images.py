"""Images: every form gives the answer of the file itself, and what is sent is small and says nothing else."""

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
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
    forms: dict[str, list[Any]] = {
        "bytes": SMALL,
        "paths": list(paths),
        "names": [str(path) for path in paths],
        "PIL": [opened(data) for data in SMALL],
        "base64": [base64.b64encode(data).decode() for data in SMALL],
        "URL": [url(data) for data in SMALL],
    }
    expected = letters.adapt("letters", SMALL, LABELS).predict_proba(SMALL)
    for form, values in forms.items():
        probabilities = letters.adapt("letters", values, LABELS).predict_proba(values)
        np.testing.assert_allclose(probabilities, expected, atol=1e-5, err_msg=form)
    kinds = [kind for kind, body in http.sent if "model" in body]
    assert kinds == ["msgpack"] * 5 + ["json"] * 2


def test_arrays_of_pixels_are_stacked(letters: Client, http: Watched) -> None:
    pixels = [np.asarray(opened(data)) < 128 for data in SMALL]
    stacked = letters.adapt("letters", pixels, LABELS).predict_proba(SMALL)
    np.testing.assert_allclose(stacked, letters.adapt("letters", SMALL, LABELS).predict_proba(SMALL), atol=1e-5)
    assert http.sent[0][1]["support"]["inputs"]["shape"] == [4, 105, 105]


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
    with pytest.raises(UnsupportedInput, match=r"x\[0\]: the image is cut off or damaged"):
        letters.adapt("letters", [picture(stroke(1024, 60))[:1000]], ["a"])
    with pytest.raises(UnsupportedInput, match=r"queries: .* put a single value into a list"):
        letters.predict("letters", SMALL[0], SMALL, LABELS)
