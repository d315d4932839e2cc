import tempfile
from pathlib import Path

import pytest
import torch

from app.cli.checks import compiler
from app.settings import Settings

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def leftovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "temporary"


def broken_compiler(folder: Path, says: str) -> None:
    """Add a g++ that fails."""
    folder.mkdir()
    (folder / "g++").write_text(f"#!/bin/sh\necho '{says}' >&2\nexit 1\n")
    (folder / "g++").chmod(0o755)


def test_a_function_is_compiled(leftovers: Path) -> None:
    finding = compiler.check(Settings(), CPU)
    assert (finding.mark, finding.message) == ("ok", "torch.compile works on cpu")
    assert not list(leftovers.iterdir())


@pytest.mark.parametrize(
    ("says", "fix"),
    [
        ("wave.cpp:1:10: fatal error: Python.h: No such file or directory", "install Python's headers"),
        ("wave.cpp:1:10: fatal error: cmath: No such file or directory", "install g++"),
    ],
)
def test_a_compiler_that_fails_gets_a_warning(
    says: str, fix: str, tmp_path: Path, leftovers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_compiler(tmp_path / "bin", says)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    finding = compiler.check(Settings(), CPU)
    assert finding.mark == "warning"
    assert f"torch.compile does not work ({says}): {fix} (" in finding.message
    assert not list(leftovers.iterdir())


def test_without_a_compiler_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    finding = compiler.check(Settings(), CPU)
    assert finding.mark == "warning"
    assert finding.message.startswith("g++ is not installed: install g++ (Debian and Ubuntu: apt install g++;")


def test_a_compiler_that_never_ends_is_ended(leftovers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "LIMIT_S", 0.1)
    finding = compiler.check(Settings(), CPU)
    assert finding.mark == "warning"
    assert "(it takes longer than 0.1 s)" in finding.message
    assert not list(leftovers.iterdir())


def test_it_is_not_needed_where_nothing_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert compiler.check(Settings(compile=False), CPU).mark == "ok"


def test_a_machine_without_a_folder_for_temporary_files_gets_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    finding = compiler.check(Settings(), CPU)
    assert finding.mark == "warning"
    assert '("No such file or directory"): set TMPDIR to a folder that can be written' in finding.message
