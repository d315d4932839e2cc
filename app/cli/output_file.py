"""Files that a command writes: whole or not at all, and never in the place of its input."""

import errno
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

from app.atomic_write import write_atomically
from app.cli.example_files import STDIN
from app.errors import InnerloopError, expectation

DEVICES = Path("/dev"), Path("/proc")
"""Where names such as /dev/stdout are of streams that are open already."""
NO_NEW_FILE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY}
"""What a folder says that takes no new file, and a file that is mounted alone: it can only be written in its place."""


def check_output(place: str, output: Path, source: Path | None = None) -> None:
    """Raise InnerloopError for an output that is a folder, or the file that the command reads.

    place: the argument of the output; source: the file that the command reads, - for stdin
    """
    if output.is_dir():
        actual = "an empty text, or ." if output == Path() else f"the folder {output}"
        raise InnerloopError(expectation(place, "the name of a file", actual))
    if source is not None and _are_same(output, source):
        actual = f"{output}, which has the queries"
        raise InnerloopError(expectation(place, "another file than FILE", actual, "choose another name"))


def write_output(place: str, output: Path, content: bytes) -> None:
    """Write a file. If that fails, a file that was there keeps its content. Raises InnerloopError.

    Pipes, devices and /dev/stdout are written as they are.
    """
    try:
        if _is_stream(output):
            output.write_bytes(content)
        else:
            _replace(output.resolve(), content)
    except OSError as error:
        raise InnerloopError(f"{place}: cannot write {output}: {error.strerror}") from error


def _is_stream(output: Path) -> bool:
    if any(output.is_relative_to(folder) for folder in DEVICES):
        return True
    return output.exists() and not output.is_file()


def _replace(output: Path, content: bytes) -> None:
    if output.exists():
        output.open("ab").close()  # fails without the permission to write, which replacing a file does not need
    try:
        write_atomically(output, content)
    except OSError as error:
        if error.errno not in NO_NEW_FILE or not output.exists():
            raise
        output.write_bytes(content)


def _are_same(output: Path, source: Path) -> bool:
    """Whether both are one file with content of its own, which is neither a terminal nor a device."""
    with suppress(OSError, ValueError, AttributeError):  # there is no such file, or stdin is closed
        read = os.fstat(sys.stdin.fileno()) if source == STDIN else source.stat()
        return stat.S_ISREG(read.st_mode) and os.path.samestat(read, output.stat())
    return False
