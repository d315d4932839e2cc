"""A folder that cannot be written to is said before a command does its work."""

from pathlib import Path

import pytest

from app.errors import InnerloopError
from app.output_folder import check_folder


def test_a_folder_that_is_made_later_leaves_nothing_now(tmp_path: Path) -> None:
    check_folder("--out", tmp_path / "a/b")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="only Linux has /proc, which takes no folders, even of root")
def test_a_folder_that_takes_no_others() -> None:
    with pytest.raises(InnerloopError, match=r"^--out: cannot write into the folder /proc/x: "):
        check_folder("--out", Path("/proc/x"))
