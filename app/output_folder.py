"""Folders that a command writes into."""

import errno
import os
from pathlib import Path
from tempfile import mkdtemp

from app.errors import InnerloopError, path_text


def check_folder(option: str, folder: Path) -> None:
    """Raise InnerloopError unless a folder takes files, or can be made: before a command does its work.

    option: what names the folder
    """
    try:
        there = next(each for each in (folder.absolute(), *folder.absolute().parents) if _is_there(each))
        code = 0 if os.access(there, os.W_OK) else errno.EACCES
        code = code if there.is_dir() else errno.ENOTDIR
        reason = os.strerror(code) if code else ""
        if not reason and there != folder.absolute():
            Path(mkdtemp(prefix=".innerloop-", dir=there)).rmdir()  # some take no folders, such as /proc
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise InnerloopError(f"{option}: cannot write into the folder {path_text(folder)}: {reason}")


def _is_there(path: Path) -> bool:
    """Whether there is such a file or folder. Raises OSError where that cannot be known, as of a name too long."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
