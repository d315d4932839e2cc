"""Images, made small before they are sent: PIL images, paths of PNG and JPEG files, and their bytes."""

import io
from pathlib import Path
from typing import Any

from innerloop_client.arrays import extra, is_a
from innerloop_client.errors import UnsupportedInput

MAX_SIDE = 512
"""The longest side of an image in pixels: the server keeps no more."""
PLAIN = frozenset(
    {"jfif", "jfif_density", "jfif_unit", "jfif_version", "dpi", "progression", "progressive", "transparency"}
)
"""What PIL finds in files that say nothing about who took the picture, where and how."""
SUFFIXES = (".png", ".jpg", ".jpeg")
FORMATS = ("PNG", "JPEG")


def is_image(value: Any) -> bool:
    """Whether a value is an image by its type: of PIL, a path, or bytes."""
    return is_a(value, "PIL.Image", "Image") or isinstance(value, Path | bytes | bytearray | memoryview)


def names_image(value: Any) -> bool:
    """Whether a text may be the name of an image file. Base64 and `data:` URLs have no such ending."""
    return isinstance(value, str) and value.lower().endswith(SUFFIXES)


def read_image(value: Any, place: str) -> bytes:
    """An image as the bytes of a file, upright, without EXIF and of at most MAX_SIDE pixels a side.

    A file that is so already is sent as it is, and so is every file if Pillow is not installed: the server then does
    the rest. Raises UnsupportedInput.
    """
    if is_a(value, "PIL.Image", "Image"):
        return _redrawn(value)
    data = _read_file(Path(value), place) if isinstance(value, str | Path) else bytes(value)
    if not is_installed():
        return data
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as image:
            keep = image.format in FORMATS and max(image.size) <= MAX_SIDE and set(image.info) <= PLAIN
            return data if keep else _redrawn(image)
    except UnidentifiedImageError as error:
        raise UnsupportedInput(f"{place}: expected an image, got {len(data)} bytes of something else") from error
    except OSError as error:
        raise UnsupportedInput(f"{place}: the image is cut off or damaged: {error}") from error


def is_installed() -> bool:
    """Whether Pillow is there."""
    from importlib.util import find_spec

    return find_spec("PIL") is not None


def _read_file(path: Path, place: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnsupportedInput(f"{place}: cannot read {path}: {error.strerror}") from error


def _redrawn(image: Any) -> bytes:
    """The pixels alone, as a PNG."""
    pil, ops = (extra(name, "Pillow", "images", "An image") for name in ("PIL.Image", "PIL.ImageOps"))
    scale = MAX_SIDE / max(image.size)
    if scale < 1:
        image.draft(image.mode, tuple(max(1, round(side * scale)) for side in image.size))
    image = ops.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits of gray
        image = image.point(lambda level: level / 257).convert("L")
    elif image.mode not in ("1", "L", "RGB", "RGBA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    scale = MAX_SIDE / max(image.size)
    if scale < 1:
        if image.mode == "1":
            image = image.convert("L")
        image = image.resize(tuple(max(1, round(side * scale)) for side in image.size), pil.Resampling.BILINEAR)
    file = io.BytesIO()
    pixels = image.copy()
    pixels.info.clear()
    pixels.save(file, "PNG")
    return file.getvalue()
