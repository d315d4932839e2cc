import os
from pathlib import Path

import pytest

from app.service.compiled.cache import use_cache


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")


def test_compiled_code_is_kept_in_the_folder(tmp_path: Path) -> None:
    assert use_cache(tmp_path / "new/cache") is None
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "new/cache")
    assert list((tmp_path / "new/cache").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_no_reason_to_stop(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    problem = use_cache(tmp_path / "file/cache")
    used = Path(os.environ["TORCHINDUCTOR_CACHE_DIR"])
    assert used.is_dir()
    start = f'Compiled code cannot be written to the folder {tmp_path / "file/cache"} ("Not a directory"): make'
    assert str(problem).startswith(start)
    used.rmdir()
