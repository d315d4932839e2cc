"""Files that a command writes: whole or not at all, and never in the place of its input."""

import errno
import os
import re
import stat
import sys
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from shutil import copymode
from typing import BinaryIO

from app.cli.example_files import STDIN, name_of
from app.errors import InnerloopError, expectation

DEVICES = Path("/dev"), Path("/proc")
"""Where names such as /dev/stdout are of streams that are open already."""
DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/([0-9]+)")
"""The name of a stream that is open already."""
NO_NEW_FILE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY}
"""What a folder says that takes no new file, and a file that is mounted alone: it can only be written in its place."""


def check_output(place: str, output: Path, source: Path | None = None) -> None:
    """Raise InnerloopError for an output that cannot be written, is a folder, or is the file that the command reads.

    place: the argument of the output; source: the file that the command reads, - for stdin
    """
    if _is_folder(place, output):
        actual = "an empty text, or ." if output == Path() else f"the folder {name_of(output)}"
        raise InnerloopError(expectation(place, "the name of a file", actual))
    if source is not None and _are_same(output, source):
        actual = f"{name_of(output)}, which has the queries"
        raise InnerloopError(expectation(place, "another file than FILE", actual, "choose another name"))
    if not _is_stream(output):
        _check_folder(place, output)


def write_output(place: str, output: Path, content: bytes) -> None:
    """Write a file. If that fails, a file that was there keeps its content. Raises InnerloopError.

    Pipes, devices and /dev/stdout are written as they are.
    """
    try:
        if _is_stream(output):
            with _opened(output) as stream:
                stream.write(content)
        else:
            _replace(Path(os.path.realpath(output)), content)
    except OSError as error:
        raise _cannot_write(place, output, error) from error


def _cannot_write(place: str, output: Path, error: OSError) -> InnerloopError:
    return InnerloopError(f"{place}: cannot write {name_of(output)}: {error.strerror}")


def _check_folder(place: str, output: Path) -> None:
    """Raise InnerloopError unless the folder of a file is there, and takes a new file where there is none."""
    folder = Path(os.path.realpath(output)).parent
    try:
        if not stat.S_ISDIR(folder.stat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(output if output.exists() else folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise _cannot_write(place, output, error) from error


def _is_folder(place: str, output: Path) -> bool:
    try:
        return output.is_dir()
    except OSError as error:  # the name is too long, or it is in a folder that this user may not enter
        raise _cannot_write(place, output, error) from error


def _is_stream(output: Path) -> bool:
    if any(output.is_relative_to(folder) for folder in DEVICES):
        return True
    return output.exists() and not output.is_file()


def _opened(output: Path) -> BinaryIO:
    """A stream to write to. One that is open already goes on where it is, even if it is a file."""
    name = {"/dev/stdout": "/dev/fd/1", "/dev/stderr": "/dev/fd/2"}.get(str(output), str(output))
    descriptor = DESCRIPTOR.fullmatch(name)
    return output.open("wb") if descriptor is None else os.fdopen(os.dup(int(descriptor[1])), "wb")


def _replace(output: Path, content: bytes) -> None:
    """Write a new file and give it the name. A file that would lose its owner or a hard link is written in place."""
    exists = output.exists()
    if exists:
        output.open("ab").close()  # fails without the permission to write, which replacing a file does not need
        if _is_shared(output.stat()):
            output.write_bytes(content)
            return
    temporary = output.with_name(f".innerloop-{token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if exists:
            copymode(output, temporary)
        temporary.replace(output)
    except OSError as error:
        if error.errno not in NO_NEW_FILE or not exists:
            raise
        output.write_bytes(content)
    finally:
        with suppress(OSError):  # it has been renamed, or there is none
            temporary.unlink()


def _is_shared(file: os.stat_result) -> bool:
    """Whether a file has another name too (a hard link), or another owner or group than this user."""
    return file.st_nlink > 1 or (file.st_uid, file.st_gid) != (os.geteuid(), os.getegid())


def _are_same(output: Path, source: Path) -> bool:
    """Whether both are one file with content of its own, which is neither a terminal nor a device."""
    with suppress(OSError, ValueError, AttributeError):  # there is no such file, or stdin is closed
        read = os.fstat(sys.stdin.fileno()) if source == STDIN else source.stat()
        return stat.S_ISREG(read.st_mode) and os.path.samestat(read, output.stat())
    return False
