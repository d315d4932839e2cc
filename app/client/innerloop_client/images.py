"""Images, made small before they are sent: PIL images, paths of PNG and JPEG files, and their bytes."""

import io
from array import array
from math import isfinite
from os import PathLike
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
SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff")
"""How files of these formats begin."""


def is_image(value: Any) -> bool:
    """Whether a value is an image by its type: of PIL, a path, an open file, or bytes."""
    is_file = isinstance(value, PathLike | bytes | bytearray | memoryview) or hasattr(value, "read")
    return is_file or is_a(value, "PIL.Image", "Image")


def may_be_other(value: Any) -> bool:
    """Whether what counts as an image by its type may be something else: a path, an open file, or other bytes."""
    if isinstance(value, bytes | bytearray):
        return not value.startswith(SIGNATURES)
    return not is_a(value, "PIL.Image", "Image")


def names_image(value: Any) -> bool:
    """Whether a text may be the name of an image file. Base64 and `data:` URLs have no such ending."""
    return isinstance(value, str) and value.lower().endswith(SUFFIXES)


def read_image(value: Any, place: str) -> bytes:
    """An image as the bytes of a file, upright, without EXIF and of at most MAX_SIDE pixels a side.

    A file that is so already is sent as it is, and so is every file if Pillow is not installed: the server then does
    the rest. Raises UnsupportedInput.
    """
    is_pil = is_a(value, "PIL.Image", "Image")
    data = b"" if is_pil else _read_file(value, place)
    if not (is_pil or is_installed()):
        return data
    from PIL import Image, UnidentifiedImageError

    try:
        if is_pil:
            return _redrawn(value, is_own=False)
        with Image.open(io.BytesIO(data)) as image:
            keep = image.format in FORMATS and max(image.size) <= MAX_SIDE and set(image.info) <= PLAIN
            return data if keep else _redrawn(image, is_own=True)
    except UnidentifiedImageError as error:
        raise UnsupportedInput(f"{place}: expected an image, got {len(data)} bytes of something else") from error
    except (OSError, SyntaxError, TypeError, ValueError, Image.DecompressionBombError) as error:
        raise UnsupportedInput(f"{place}: cannot read the image: {error}") from error


def is_installed() -> bool:
    """Whether Pillow is there."""
    from importlib.util import find_spec

    return find_spec("PIL") is not None


def _read_file(value: Any, place: str) -> bytes:
    """The bytes of a file: of a path, of an open file from its start, or as they are."""
    try:
        if isinstance(value, str | PathLike):
            return Path(value).read_bytes()
        if not hasattr(value, "read"):
            return bytes(value)
        if value.seekable():
            value.seek(0)
        data = value.read()
    # AttributeError and TypeError: of a file without `seekable`, and of bytes as a path
    except (AttributeError, OSError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnsupportedInput(f"{place}: cannot read {value}: {reason}") from error
    if not isinstance(data, bytes):
        raise UnsupportedInput(f"{place}: expected bytes of an image, got {type(data).__name__}: open the file as 'rb'")
    return data


def _redrawn(image: Any, *, is_own: bool) -> bytes:
    """The pixels alone, as a PNG.

    is_own: whether the image may change, because nobody else has it
    """
    pil, ops = (extra(name, "Pillow", "images", "An image") for name in ("PIL.Image", "PIL.ImageOps"))
    if 0 in image.size:
        raise ValueError(f"it has {image.width} x {image.height} pixels")
    scale = MAX_SIDE / max(image.size)
    if is_own and scale < 1:  # decodes a large JPEG at a fraction of its size
        image.draft(image.mode, _smaller(image, scale))
    image = ops.exif_transpose(image)
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode[0] in "IF":
        transparent = image.info.get("transparency")
        opaque = None if transparent is None else _others(image, transparent)
        image = _gray(image)
        if opaque is not None:
            image = pil.merge("LA", (image, opaque))
    elif image.has_transparency_data:  # in some files, a color that counts as transparent
        image = image.convert("RGBA")
    elif image.mode not in ("1", "L", "RGB"):
        image = image.convert("RGB")
    scale = MAX_SIDE / max(image.size)
    if scale < 1:
        if image.mode == "1":
            image = image.convert("L")
        image = image.resize(_smaller(image, scale), pil.Resampling.BILINEAR)
    file = io.BytesIO()
    pixels = image.copy()
    pixels.info.clear()
    pixels.save(file, "PNG")
    return file.getvalue()


def _smaller(image: Any, scale: float) -> tuple[int, ...]:
    return tuple(max(1, round(side * scale)) for side in image.size)


def _others(image: Any, level: int) -> Any:
    """Where an image of 16 bits has another level of gray: 255 there, and 0 elsewhere."""
    return image.convert("I").point([255 * (each != level) for each in range(2**16)], "L")


def _gray(image: Any) -> Any:
    """Levels of gray of more than 8 bits as those of 8: from 0 to 1, to 255 or to 65,535."""
    is_deep = image.mode.startswith("I;16")
    image = image.convert("F")
    if not isfinite(sum(array("f", image.tobytes()))):
        raise ValueError("it has levels of gray that are not finite")
    _, highest = image.getextrema()
    factor = 1 / 257 if is_deep or highest > 255 else 1 if highest >= 2 else 255
    return image.point(lambda level: level * factor + 0.5).convert("L")
