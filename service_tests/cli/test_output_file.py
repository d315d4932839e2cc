"""The files that commands write: whole or not at all, and never in the place of the input."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli.output_file import check_output, write_output
from app.errors import InnerloopError


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    file.write_text("old")
    code = "import sys; from pathlib import Path; from app.cli.output_file import write_output; "
    code += "write_output('FILE', Path(sys.argv[1]), b'n' * 5000)"
    command = f'ulimit -f 1; "{sys.executable}" -c "{code}" "{file}"'
    result = subprocess.run(["/bin/bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert result.stderr.endswith(f"FILE: cannot write {file}: File too large\n")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("out.csv", "old")]


def test_a_file_is_replaced_through_its_link_with_its_permissions(tmp_path: Path) -> None:
    file, link = tmp_path / "out.csv", tmp_path / "link.csv"
    file.write_text("a long old content")
    file.chmod(0o640)
    link.symlink_to(file)
    write_output("FILE", link, b"new")
    assert link.is_symlink()
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("new", 0o640)


def test_a_shared_file_stays_the_same_file(tmp_path: Path) -> None:
    file, other = tmp_path / "out.csv", tmp_path / "other.csv"
    file.write_text("old")
    os.link(file, other)
    write_output("FILE", file, b"new")
    assert other.read_text() == "new"
    if os.geteuid() == 0:
        other.unlink()
        os.chown(file, 65534, 65534)
        write_output("FILE", file, b"newer")
        assert (file.read_text(), file.stat().st_uid) == ("newer", 65534)


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(InnerloopError, match=r"^FILE: cannot write .*: File name too long"):
        check_output("FILE", tmp_path / ("a" * 256))
    longest = tmp_path / ("a" * 255)
    write_output("FILE", longest, b"new")
    assert longest.read_text() == "new"


def test_a_pipe_and_stdout_are_written_as_they_are(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        write_output("FILE", pipe, b"new")
        assert reader.communicate(timeout=30)[0] == b"new"
    assert pipe.is_fifo()
    code = "from pathlib import Path; from app.cli.output_file import write_output; "
    code += "write_output('FILE', Path('/dev/stdout'), b'new')"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=True)
    assert result.stdout == b"new"


def test_a_file_that_stdout_is_appended_to_keeps_its_content(tmp_path: Path) -> None:
    file = tmp_path / "out"
    file.write_bytes(b"old ")
    code = "from pathlib import Path; from app.cli.output_file import write_output; "
    code += "write_output('FILE', Path('/dev/stdout'), b'new')"
    with file.open("ab") as stdout:
        subprocess.run([sys.executable, "-c", code], stdout=stdout, check=True)
    assert file.read_bytes() == b"old new"
    with file.open("wb") as stdout:
        words = ["sh", "-c", 'echo 1; "$0" -c "$1"; echo 2', sys.executable, code]
        subprocess.run(words, stdout=stdout, check=True)
    assert file.read_bytes() == b"1\nnew2\n"


def test_what_is_no_output_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, link = tmp_path / "queries.csv", tmp_path / "link.csv"
    file.write_text("x\n1\n")
    link.symlink_to(file)
    for output in (file, link):
        with pytest.raises(InnerloopError, match=r"^--output: expected another file than FILE, got .*: choose another"):
            check_output("--output", output, file)
    with file.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        with pytest.raises(InnerloopError, match="another file than FILE"):
            check_output("--output", file, Path("-"))
    with pytest.raises(InnerloopError, match=r"^--output: expected the name of a file, got an empty text, or \.$"):
        check_output("--output", Path())
    with pytest.raises(InnerloopError, match=r"^FILE: expected the name of a file, got the folder "):
        check_output("FILE", tmp_path)
    check_output("--output", tmp_path / "new.csv", file)
    check_output("--output", Path("/dev/null"), Path("/dev/null"))
