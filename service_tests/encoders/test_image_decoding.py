"""Picture files: metadata goes, pixels stay, and hostile files are refused before they are decoded."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from app.encoders import jpeg_segments
from app.encoders.image import ImageEncoder
from app.encoders.image_decoding import MAX_SIDE, opened, size
from app.encoders.image_for_record import MAX_KEPT_SIDE, to_keep
from app.errors import Invalid
from service_tests.encoders.cases import drawing, picture

COLOURS = np.random.default_rng(0).integers(0, 256, (30, 20, 3)).astype(np.uint8)
SECRET = b"51.5007N 0.1246W"


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGBA"))


def exif(orientation: int, order: str = "<") -> bytes:
    """EXIF with an orientation and a place."""
    tags = Image.Exif()
    tags.endian = order
    tags[0x0112], tags[0x010E] = orientation, SECRET.decode()
    return tags.tobytes()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def header(width: int, height: int) -> bytes:
    """A PNG with nothing but a header."""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_a_small_png_loses_its_metadata_alone(mode: str) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("place", SECRET.decode())
    file = picture(COLOURS, mode=mode, pnginfo=notes, exif=exif(1), dpi=(300, 300))
    kept = to_keep(file, "")
    assert SECRET in file
    assert SECRET not in kept
    assert kept == picture(COLOURS, mode=mode)
    np.testing.assert_array_equal(pixels(kept), pixels(file))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 1}, {"subsampling": 0}])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_small_jpeg_loses_its_metadata_alone(mode: str, options: dict[str, Any]) -> None:
    file = picture(COLOURS, "JPEG", mode, exif=exif(1), comment=SECRET, icc_profile=SECRET * 9, **options)
    kept = to_keep(file + SECRET, "")
    assert SECRET in file
    assert SECRET not in kept
    np.testing.assert_array_equal(pixels(kept), pixels(file))
    assert to_keep(kept, "") == kept


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_upright(orientation: int, order: str) -> None:
    scene = np.kron(np.array([[0, 255], [128, 60], [200, 30]], np.uint8), np.ones((16, 16), np.uint8))
    file = picture(scene, "JPEG", quality=95, exif=exif(orientation, order))
    with Image.open(io.BytesIO(file)) as image:
        from PIL import ImageOps

        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGBA"))
    kept = to_keep(file, "")
    assert SECRET not in kept
    np.testing.assert_allclose(pixels(kept).astype(int), expected.astype(int), atol=16)
    assert to_keep(kept, "") == kept


@pytest.mark.parametrize("content", [b"", b"II", b"MM\0*\0\0\0\x08", b"II*\0\xff\xff\xff\xff", b"XX*\0\0\0\0\x08\0\1"])
def test_damaged_exif_is_upright(content: bytes) -> None:
    assert jpeg_segments.orientation(picture(COLOURS, "JPEG", exif=b"Exif\0\0" + content), "") == 1


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_large_picture_is_shrunk_in_its_proportions(form: str) -> None:
    file = picture(np.kron(COLOURS, np.ones((40, 40, 1), np.uint8)), form)
    kept = to_keep(file, "")
    assert size(kept, "") == (MAX_KEPT_SIDE, round(MAX_KEPT_SIDE * 2 / 3))
    assert to_keep(kept, "") == kept
    assert pixels(kept)[..., 3].min() == 255


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_of_a_large_png_is_shrunk(mode: str) -> None:
    paper = drawing(600)
    file = picture(paper.astype(np.uint16) * 257) if mode == "I;16" else picture(paper, mode=mode)
    encoder = ImageEncoder((28, 28))
    np.testing.assert_allclose(encoder.encode([file]), encoder.encode([picture(paper)]), atol=0.01)


@pytest.mark.parametrize("side", [28, 600])
def test_a_level_of_16_bits_that_stands_for_transparent_pixels_is_paper(side: int) -> None:
    paper = drawing(side)
    levels = paper.astype(np.uint16) * 257
    levels[:, : side // 2] = 3  # nearly black
    paper[:, : side // 2] = 255
    encoder = ImageEncoder((28, 28))
    np.testing.assert_allclose(
        encoder.encode([picture(levels, transparency=3)]), encoder.encode([picture(paper)]), atol=0.01
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (header(28, 28), "expected a complete PNG, got one that is cut off or damaged: save the image again"),
        (header(0, 28), "expected an image with pixels, got 0 x 28: save the image again"),
        (header(MAX_SIDE + 1, 1), "expected at most 4096 pixels a side, got 4097 x 1: scale the image down"),
        (header(2**31 - 1, 2**31 - 1), "expected at most 4096 pixels a side, got 2147483647 x 2147483647: scale"),
        (header(9, 9) + header(5000, 5000)[8:] + chunk(b"IDAT", b"") + chunk(b"IEND", b""), "expected a complete PNG"),
        (b"\xff\xd8\xff", "expected a complete JPEG, got one that is cut off or damaged: save the image again"),
    ],
)
def test_bombs_and_damaged_files_are_refused_before_they_are_decoded(data: bytes, message: str) -> None:
    with pytest.raises(Invalid) as error:
        ImageEncoder((28, 28)).encode([data])
    assert str(error.value).startswith(f"[0]: {message}")


def test_a_jpeg_with_two_sizes_or_many_scans_is_refused() -> None:
    file = picture(COLOURS, "JPEG")
    frame = next(segment.data for segment in jpeg_segments.segments(file, "") if segment.marker in jpeg_segments.SIZES)
    scan = next(segment.data for segment in jpeg_segments.segments(file, "") if segment.marker == jpeg_segments.SOS)
    for bad in (file[:2] + frame + file[2:], file[:-2] + scan * jpeg_segments.MAX_SCANS + file[-2:]):
        with pytest.raises(Invalid, match="expected a complete JPEG"):
            size(bad, "[0]")


def test_a_decompression_bomb_in_the_metadata_is_not_opened() -> None:
    file = picture(drawing())
    bomb = chunk(b"zTXt", b"note\0\0" + zlib.compress(b"\0" * 2**26))
    assert to_keep(file[:33] + bomb + file[33:], "") == file


@settings(max_examples=300)
@given(
    st.sampled_from([picture(COLOURS), picture(COLOURS, mode="P"), picture(COLOURS, "JPEG", exif=exif(6))]),
    st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=3)), max_size=4),
    st.integers(0, 10**6),
)
def test_a_damaged_file_is_read_or_refused(file: bytes, changes: list[tuple[int, bytes]], end: int) -> None:
    data = bytearray(file)
    for at, new in changes:
        data[at % len(data) : at % len(data) + len(new)] = new
    encoder = ImageEncoder((28, 28))
    try:
        features = encoder.encode([bytes(data[: end % (2 * len(data)) or None])])
    except Invalid as error:
        place = error.place
    else:
        place = "[0]"
        assert 0 <= features.min() <= features.max() <= 1 + 1e-6
    assert place == "[0]"


def test_what_is_opened_is_closed() -> None:
    with opened(picture(COLOURS), "") as image:
        assert image.size == (20, 30)
