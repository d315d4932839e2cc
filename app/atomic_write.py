"""Files that survive a crash."""

import os
from pathlib import Path
from shutil import copymode


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that after a crash the file holds either the old bytes or the new ones.

    A file that is replaced keeps its permissions. Nothing stays beside it if writing fails.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        with temporary.open("wb") as file:
            if path.exists():
                copymode(path, temporary)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
