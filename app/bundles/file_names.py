"""The two files of a bundle that the server reads."""

from pathlib import Path

from app.errors import BundleError

MANIFEST = "bundle.json"
WEIGHTS = "weights.safetensors"
ENCODER_PREFIX = "encoder/"
"""How the names of the encoder's arrays begin in weights.safetensors."""
COPY_AGAIN = "copy the whole bundle again"


def read(file: Path) -> bytes:
    """The bytes of a file. Raises BundleError where it cannot be read."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise BundleError(file, f"expected a file, got none: {COPY_AGAIN}") from None
    except OSError as error:
        raise BundleError(file, f'expected a file that can be read, got "{error.strerror}"') from error
