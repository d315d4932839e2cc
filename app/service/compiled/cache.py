"""The cache of compiled code on the disk: its folder, and what makes an entry stale.

Inductor looks an entry up by a hash of the program, of its options and of torch. Another bundle, another torch or a
changed pass thus finds nothing, and is compiled anew; a program that gives other numbers than eager code never serves
(`measure`).
"""

import logging
import os
import tempfile
from pathlib import Path

log = logging.getLogger(__name__)


def use_cache(folder: Path) -> None:
    """Let this process keep its compiled code in a folder; in a temporary one where it cannot write there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"x")
    except OSError as error:
        log.warning(
            "%s: %s: compiled code cannot be kept there, so each start compiles anew: make it a folder that the server "
            "may write to, or set INNERLOOP_CACHE_DIR to another one",
            folder,
            error.strerror,
        )
        folder = Path(tempfile.mkdtemp(prefix="innerloop-"))
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder.absolute())


def source_key(file: str) -> bytes:
    """The part of the key that stands for the source of a pass, so that entries of an older source are stale."""
    from torch._inductor.custom_graph_pass import get_hash_for_files  # Inductor takes seconds to import

    key: bytes = get_hash_for_files((file,))
    return key
