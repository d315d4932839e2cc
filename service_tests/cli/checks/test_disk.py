from pathlib import Path

from app.cli.checks import disk
from app.settings import Settings
from service_tests.disks import small_disk


def marks(**settings: object) -> list[tuple[str, str]]:
    return [(each.mark, each.message) for each in disk.check(Settings.model_validate(settings))]


def test_the_space_for_state_and_compiled_code(tmp_path: Path) -> None:
    (state, cache) = marks(state_dir=tmp_path / "state")
    assert (state[0], cache[0]) == ("ok", "ok")
    assert state[1].endswith(f" GiB free for the state folder ({tmp_path / 'state'})")
    assert cache[1].endswith(f" GiB free for compiled code ({tmp_path / 'state/cache'})")
    assert not list(tmp_path.iterdir())


def test_what_is_not_written_needs_no_space(tmp_path: Path) -> None:
    assert marks(state_dir=tmp_path, store="memory", compile=False) == []


def test_a_full_disk_is_a_problem_and_a_nearly_full_one_a_warning(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "24m") as small:
        state, cache = marks(state_dir=small.folder)
        assert state[0] == cache[0] == "warning"
        assert "expected at least 32.0 MiB free, got 24.0 MiB free: make room on it" in state[1]
        assert "expected a folder that the server may write to, with 100.0 MiB free, got 24.0 MiB free" in cache[1]
        small.fill()
        full = marks(state_dir=small.folder, compile=False)
        assert [mark for mark, _ in full] == ["problem"]
        assert "is full (0.0 MiB free): make room" in full[0][1]


def test_a_cache_that_cannot_be_written_gets_a_warning(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    ((_, _), (mark, message)) = marks(state_dir=tmp_path, cache_dir=tmp_path / "cache")
    assert mark == "warning"
    assert "got one that it may not write to: give it to the user of the server with chown, or" in message
