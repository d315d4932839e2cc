"""The cache of compiled code on the disk: its folder, and what makes an entry stale.

Inductor looks an entry up by a hash of the program, of its options and of torch. Another bundle, another torch or a
changed pass thus finds nothing, and is compiled anew; a program that gives other numbers than eager code never serves
(`choose_faster`).
"""

import errno
import os
import shutil
import tempfile
from pathlib import Path

MIN_FREE_BYTES = 100 * 2**20
"""Of the disk: the code of a few bundles takes 10 MB, and the adaptations come first."""


def use_cache(folder: Path) -> str | None:
    """Let this process keep its compiled code in a folder; in a temporary one where it cannot write there.

    Returns why it cannot, and what to do about it; None where it can.
    """
    problem = cache_problem(folder)
    if problem is not None:
        try:
            folder = Path(tempfile.mkdtemp(prefix="innerloop-"))
        except OSError:  # compiling fails then, and the inner loop runs uncompiled
            return problem
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder.absolute())
    return problem


def cache_problem(folder: Path) -> str | None:
    """Why compiled code cannot be kept in a folder, and what to do about it; None where it can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"x")
        if shutil.disk_usage(folder).free < MIN_FREE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        return (
            f'Compiled code cannot be written to the folder {folder} ("{error.strerror}"): make room '
            "on its disk, or set INNERLOOP_CACHE_DIR to a folder that the server may write to. Until then the server "
            "compiles again at each start"
        )
    return None


def source_key(file: str) -> bytes:
    """The part of the key that stands for the source of a pass, so that entries of an older source are stale."""
    from torch._inductor.custom_graph_pass import get_hash_for_files  # Inductor takes seconds to import

    key: bytes = get_hash_for_files((file,))
    return key
