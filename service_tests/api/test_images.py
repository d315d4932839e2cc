"""Images over HTTP: a picture of any size becomes ink on the model's raster, as in the family."""

import base64
import io
import json
import struct
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.encoders.image import MAX_FILES, MAX_PIXELS, ImageEncoder
from app.encoders.image_to_ink import picture_ink
from app.errors import Invalid


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained bundles: `letters` takes images of 28 x 28, `blobs` takes none."""
    from app.learn.networks import NetworkSpec
    from service_tests.bundles import write_bundle

    folder = tmp_path_factory.mktemp("models")
    write_bundle(folder / "letters", "omniglot", "protonet", NetworkSpec("conv4", {"side": 28, "filters": 4}))
    write_bundle(folder / "blobs", "blobs", "protonet", NetworkSpec("mlp", {"inputs": 2, "outputs": 4}))
    return folder


@pytest.fixture
def client(serve: Callable[..., TestClient], letters: Path) -> TestClient:
    return serve(models_dir=letters)


def drawing(side: int = 105, seed: int = 0) -> np.ndarray:
    """A random drawing: whether there is ink, [row, column]."""
    return np.random.default_rng(seed).random((side, side)) < 0.2


def png(pixels: np.ndarray, mode: str | None = None, **options: Any) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, "PNG", **options)
    return file.getvalue()


def black_on_white(dark: np.ndarray) -> np.ndarray:
    return np.where(dark, 0, 255).astype(np.uint8)


def to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def png_header(width: int, height: int) -> bytes:
    """A PNG with nothing but a header that declares this size."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


@pytest.mark.parametrize("side", [7, 27, 28, 29, 105, 280])
def test_an_image_is_scaled_as_in_the_family(side: int) -> None:
    import torch

    from app.families.omniglot_archives import area_weights

    dark = drawing(side)
    weights = area_weights(side, 28)
    expected = (weights @ torch.from_numpy(dark).float() @ weights.T).numpy()
    result = picture_ink(png(black_on_white(dark)), (28, 28), "")
    assert result.dtype == np.float32
    np.testing.assert_allclose(result.reshape(28, 28), expected, atol=1e-6)


def test_dark_is_ink_in_every_kind_of_png() -> None:
    dark = drawing(28)
    gray = black_on_white(dark)
    colors = np.repeat(gray[..., None], 3, axis=2)
    clear = np.dstack([np.zeros_like(colors), np.where(dark, 255, 0).astype(np.uint8)])
    files = [
        png(gray), png(gray, "1"), png(gray, "P"), png(gray, "RGB"), png(gray, "RGBA"), png(gray, "LA"), png(colors),
        png(gray.astype(np.uint16) * 257), png(clear), png(gray, "P", transparency=255), png(gray, optimize=True),
    ]  # fmt: skip
    for file in files:
        np.testing.assert_allclose(picture_ink(file, (28, 28), "").reshape(28, 28), dark, atol=1e-6)
    half = np.dstack([np.zeros((28, 28, 3), np.uint8), np.full((28, 28), 51, np.uint8)])
    np.testing.assert_allclose(picture_ink(png(half), (28, 28), ""), 0.2, atol=1e-6)


def test_a_drawing_that_is_not_square_keeps_its_aspect_ratio() -> None:
    wide = np.zeros((14, 28), np.uint8)
    result = picture_ink(png(wide), (28, 28), "").reshape(28, 28)
    assert (result[7:21] == 1).all()
    assert result[:7].sum() + result[21:].sum() == 0
    assert picture_ink(png(wide.T), (28, 28), "").reshape(28, 28)[:, 7:21].all()
    assert picture_ink(png(np.zeros((1, 4096), np.uint8)), (28, 28), "").sum() == pytest.approx(
        28 / 4096 * 28, rel=1e-3
    )


def test_all_forms_of_an_image_give_the_same_answer(client: TestClient) -> None:
    images = [drawing(28, seed) for seed in range(4)]
    labels = ["α", "β", "α", "β"]
    nested = [image.astype(float).tolist() for image in images]
    flat = [image.astype(float).ravel().tolist() for image in images]
    files = [to_base64(png(black_on_white(image))) for image in images]
    raw = {"shape": [4, 28, 28], "data": to_base64(np.array(images, "<f4").tobytes())}
    rows = {"shape": [4, 784], "data": to_base64(np.array(images, "<f4").tobytes())}
    mixed = [nested[0], flat[1], files[2], files[3]]
    urls = [f"data:image/png;base64,{file}" for file in files]
    channels_first, channels_last = [[image] for image in nested], np.array(images)[..., None].astype(float).tolist()
    levels = (np.array(images) * 255).astype(np.uint8)
    gray = {"shape": [4, 28, 28], "data": to_base64(levels.tobytes()), "dtype": "uint8"}
    half = {"shape": [4, 1, 28, 28], "data": to_base64(np.array(images, "<f2").tobytes()), "dtype": "float16"}
    dark = {"shape": [4, 28, 28], "data": to_base64(np.array(images, bool).tobytes()), "dtype": "bool"}
    answers = []
    for inputs in (nested, flat, files, raw, rows, mixed, urls, channels_first, channels_last, gray, half, dark):
        body = {"model": "letters", "support": {"inputs": inputs, "targets": labels}, "queries": inputs}
        response = client.post("/predict", json=body)
        assert response.status_code == 200, response.text
        answers.append(response.json())
    packed: dict[str, Any] = {"model": "letters", "queries": [png(black_on_white(image)) for image in images]}
    packed["support"] = {"inputs": packed["queries"], "targets": labels}
    headers = {"content-type": "application/msgpack", "accept": "application/json"}
    answers.append(client.post("/predict", content=msgspec.msgpack.encode(packed), headers=headers).json())
    for answer in answers:
        assert answer["labels"] == ["α", "β"]
        np.testing.assert_allclose(answer["probabilities"], answers[0]["probabilities"], rtol=1e-4, atol=1e-6)
    assert client.get("/models/letters").json()["shape"] == [28, 28]
    assert client.get("/models/letters").json()["image"] == "ink"


GOOD = to_base64(png(black_on_white(drawing(28))))


@pytest.mark.parametrize(
    ("bad", "detail"),
    [
        (to_base64(b""), "expected a PNG or JPEG, got no bytes: convert other formats"),
        (to_base64(b"GIF89a" + b"\0" * 99), "expected a PNG or JPEG, got a GIF: convert other formats"),
        (to_base64(base64.b64decode(GOOD)[:60]), "expected a complete PNG, got one that is cut off or damaged"),
        (to_base64(base64.b64decode(GOOD)[:-40]), "expected a complete PNG, got one that is cut off or damaged"),
        (to_base64(png_header(28, 28)), "expected a complete PNG, got one that is cut off or damaged"),
        (to_base64(png_header(0, 28)), "expected an image with pixels, got 0 x 28"),
        (to_base64(png_header(4097, 1)), "expected at most 4096 pixels a side, got 4097 x 1"),
        (
            to_base64(png_header(2**31 - 1, 2**31 - 1)),
            "expected at most 4096 pixels a side, got 2147483647 x 2147483647",
        ),
        (f"data:image/png,{GOOD[:10]}", "expected a data: URL with base64, got"),
        ("?", 'expected a PNG or JPEG in base64, got "?"'),
        ([0.0] * 783, "expected a PNG, a JPEG or 28 x 28 numbers, got 783"),
        ([[0.0] * 28] * 27 + [[0.0] * 27], "got rows of unequal length or without numbers"),
        (None, "expected a PNG, a JPEG or 28 x 28 numbers, got null"),
    ],
)
def test_an_invalid_image_is_refused(client: TestClient, bad: Any, detail: str) -> None:
    support = {"inputs": [GOOD, bad], "targets": ["a", "b"]}
    response = client.post("/adapt", json={"model": "letters", "support": support})
    assert response.status_code == 422
    assert detail in response.json()["detail"]
    assert response.json()["place"] == "support.inputs[1]"


def test_a_decompression_bomb_is_refused_before_it_is_decoded(client: TestClient) -> None:
    """Each image is within the limit, but not all of them together."""
    bomb = to_base64(png(np.zeros((4096, 4096), np.uint8)))
    count = MAX_PIXELS // 4096**2 + 1
    support = {"inputs": [bomb] * count, "targets": ["a"] * count}
    response = client.post("/adapt", json={"model": "letters", "support": support})
    assert response.status_code == 422
    assert response.json()["detail"] == (
        f"support.inputs[{count - 1}]: expected at most {MAX_PIXELS} pixels in all images, got {count * 4096**2}: "
        "scale the images down"
    )


def test_a_second_header_of_another_size_is_refused() -> None:
    data = png(black_on_white(drawing(28)))
    for side in (4000, 30_000):
        header = png_header(side, side)[8:]
        with pytest.raises(Invalid, match="expected a complete PNG, got one that is cut off or damaged"):
            picture_ink(data[:33] + header + data[33:], (28, 28), "queries[0]")


def test_too_many_images_are_refused_before_they_are_decoded(client: TestClient) -> None:
    dot = png(np.zeros((1, 1), np.uint8))
    body = {"model": "letters", "support": {"inputs": [dot], "targets": ["a"]}, "queries": [dot] * (MAX_FILES + 1)}
    headers = {"content-type": "application/msgpack", "accept": "application/json"}
    answer = client.post("/predict", content=msgspec.msgpack.encode(body), headers=headers)
    assert answer.status_code == 422
    assert answer.json()["detail"] == (
        f"queries: expected at most {MAX_FILES} PNGs and JPEGs, got {MAX_FILES + 1}: send fewer at a time, or their "
        "pixels as a raw array in msgpack"
    )


def test_a_decompression_bomb_in_a_text_chunk_does_no_harm(client: TestClient) -> None:
    data = png(black_on_white(drawing(28)))
    note = b"zTXt" + b"note\0\0" + zlib.compress(b"\0" * 2**26)
    chunk = struct.pack(">I", len(note) - 4) + note + struct.pack(">I", zlib.crc32(note))
    support = {"inputs": [GOOD, to_base64(data[:33] + chunk + data[33:])], "targets": ["a", "b"]}
    assert client.post("/adapt", json={"model": "letters", "support": support}).status_code == 201


def test_a_model_that_takes_no_images_refuses_them(client: TestClient) -> None:
    for image in (GOOD, "data:image/png;base64," + GOOD, to_base64(b"1"), "1", "nan"):
        support = {"inputs": [image, image], "targets": ["a", "b"]}
        response = client.post("/adapt", json={"model": "blobs", "support": support})
        assert response.status_code == 422
        assert response.json()["detail"].startswith("support.inputs[0]: expected 2 numbers, got ")


def test_a_jpeg_is_taken_as_a_png_is(client: TestClient) -> None:
    file = io.BytesIO()
    pixels = black_on_white(drawing(105))
    Image.fromarray(pixels).save(file, "JPEG", quality=95)
    forms = [to_base64(png(pixels)), to_base64(file.getvalue()), f"data:image/jpeg;base64,{to_base64(file.getvalue())}"]
    support = {"inputs": [GOOD, to_base64(png(pixels))], "targets": ["a", "b"]}
    answer = client.post("/predict", json={"model": "letters", "support": support, "queries": forms}).json()
    assert answer["predictions"] == ["b"] * 3
    np.testing.assert_allclose(answer["probabilities"], [answer["probabilities"][0]] * 3, atol=0.01)


def test_gray_levels_in_json_are_refused_with_the_cure(client: TestClient) -> None:
    levels = (drawing(28) * 255).tolist()
    support = {"inputs": [GOOD, levels], "targets": ["a", "b"]}
    detail = client.post("/adapt", json={"model": "letters", "support": support}).json()["detail"]
    assert detail == (
        "support.inputs[1]: expected ink from 0 (paper) to 1, got whole numbers up to 255: send gray levels as an "
        "array of uint8, or divide them by 255"
    )


def test_files_are_decoded_off_the_event_loop(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []
    encode = ImageEncoder.encode

    def watched(encoder: ImageEncoder, rows: Any) -> np.ndarray:
        threads.append(threading.current_thread().name)
        return encode(encoder, rows)

    monkeypatch.setattr(ImageEncoder, "encode", watched)
    file = to_base64(png(black_on_white(drawing())))
    body = {"model": "letters", "support": {"inputs": [file], "targets": ["ka"]}, "queries": [file]}
    escaped = json.dumps(body).replace(file[:2], "".join(f"\\u{ord(each):04x}" for each in file[:2]))
    client.post("/predict", content=escaped, headers={"Content-Type": "application/json"}).raise_for_status()
    assert len(threads) == 2
    assert all(name.startswith("bodies") for name in threads)
    adapted = client.post("/adapt", json={"model": "letters", "support": body["support"]}).json()["adaptation_id"]
    threads.clear()
    client.post(f"/adaptations/{adapted}/support", json={"inputs": [file], "targets": ["ga"]}).raise_for_status()
    assert [name.split("_")[0] for name in threads] == ["bodies", "engine"]
