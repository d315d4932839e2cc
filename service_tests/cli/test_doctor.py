"""`innerloop doctor`: its lines, its JSON, its exit code, and that it leaves nothing behind."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from app.cli import doctor
from service_tests.cli.commands import innerloop
from service_tests.processes import ROOT, command

PARTS = ["versions", "settings", "device", "compiler", "store", "disk", "bundles"]


@pytest.fixture
def machine(tmp_path: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder of a server that does not exist yet. Nothing is compiled."""
    for name in [name for name in os.environ if name.upper().startswith("INNERLOOP_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "state"
    settings = {"STATE_DIR": folder, "MODELS_DIR": models_dir, "COMPILE": "false", "DEVICE": "cpu"}
    for name, value in settings.items():
        monkeypatch.setenv(f"INNERLOOP_{name}", str(value))
    return folder


def test_a_machine_that_can_serve(machine: Path) -> None:
    result = innerloop("doctor")
    *lines, verdict = result.stdout.splitlines()
    assert [line.split()[1] for line in lines] == PARTS
    assert {line.split()[0] for line in lines} == {"ok"}
    assert (verdict, result.returncode, result.stderr) == ("This machine can serve", 0, "")
    assert not machine.exists()


def test_json_has_the_same_findings(machine: Path) -> None:
    lines = innerloop("doctor").stdout.splitlines()[:-1]
    result = innerloop("doctor", "--json")
    document = json.loads(result.stdout)
    assert (document["mark"], result.returncode) == ("ok", 0)
    # the free space may change between the two
    assert [[each["mark"], each["part"]] for each in document["findings"]] == [line.split()[:2] for line in lines]
    device = next(each for each in document["findings"] if each["part"] == "device")
    assert any(line.endswith(f"device    {device['message']}") for line in lines)


def test_a_terminal_shows_what_takes_long(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = StringIO()
    monkeypatch.setattr(doctor, "console", Console(file=shown, force_terminal=True, width=200))
    assert innerloop("doctor").returncode == 0
    before, slow, _ = shown.getvalue().partition("compiling a function, which may take a minute")
    assert slow
    assert "device" in before
    assert "compiler" not in before
    shown.truncate(0)
    innerloop("doctor", "--json")
    assert "compiling a function" not in shown.getvalue()


def test_a_warning_is_no_failure(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNERLOOP_SPEED", "high")
    result = innerloop("doctor")
    assert result.returncode == 0
    assert "warning  settings  INNERLOOP_SPEED: no setting of this version" in result.stdout
    assert result.stdout.splitlines()[-1] == "This machine can serve: 1 warning"


def test_problems_are_counted(machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("INNERLOOP_MODELS_DIR", str(tmp_path / "empty"))
    monkeypatch.setenv("INNERLOOP_URL", "http://127.0.0.1:9")
    result = innerloop("doctor")
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1] == "Not everything works: 2 problems"
    assert innerloop("doctor", "--json").returncode == 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("INNERLOOP_DURABILTY", "fsync", "INNERLOOP_DURABILTY: unknown setting. Did you mean INNERLOOP_DURABILITY?"),
        ("INNERLOOP_THREADS", "0", "INNERLOOP_THREADS: expected at least 1, got '0'"),
    ],
)
def test_a_wrong_setting_is_a_problem(
    machine: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    result = innerloop("doctor")
    _, line, verdict = result.stdout.splitlines()
    assert line.startswith(f"problem  settings  {message}")
    assert (verdict, result.returncode) == ("Not everything works: 1 problem", 1)
    monkeypatch.setenv("INNERLOOP_SPEED", "high")
    _, _, line, verdict = innerloop("doctor").stdout.splitlines()
    assert line.startswith("warning  settings  INNERLOOP_SPEED: no setting of this version")
    assert verdict == "Not everything works: 1 problem, 1 warning"


@pytest.mark.skipif("__import__('torch').cuda.is_available()", reason="there is a GPU")
def test_the_rest_is_checked_on_the_cpu_without_the_device(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNERLOOP_DEVICE", "cuda")
    result = innerloop("doctor")
    assert "problem  device    device: expected auto or cpu on a machine without a CUDA device" in result.stdout
    assert [line.split()[1] for line in result.stdout.splitlines()[:-1]] == PARTS


def test_a_running_server_and_its_state_stay_as_they_are(
    machine: Path, serve_live: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INNERLOOP_URL", serve_live(store="sqlite", state_dir=machine))
    before = {file: file.read_bytes() for file in machine.rglob("*") if file.is_file()}
    result = innerloop("doctor")
    assert result.returncode == 0
    assert f"ok       store     sqlite; a server uses the folder {machine} now" in result.stdout
    assert "is ready, and serves " in result.stdout
    assert {file: file.read_bytes() for file in machine.rglob("*") if file.is_file()} == before


def test_the_page_of_the_guide_shows_the_lines(machine: Path) -> None:
    page = (ROOT / "app/docs/troubleshooting.md").read_text()
    (block,) = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    *lines, verdict = block.splitlines()
    assert [line.split()[1] for line in lines] == [*PARTS[:-1], "disk", "bundles"]  # the second is for compiled code
    assert verdict.startswith(innerloop("doctor").stdout.splitlines()[-1])


def test_bash_completes_commands() -> None:
    """What `--show-completion` prints is a function of bash, which lets the command name its subcommands."""
    words = ["bash", "-c", f"{command('innerloop')} --show-completion; true"]  # the shell is found by its process
    script = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True).stdout
    ask = 'COMP_WORDS=(innerloop doc) COMP_CWORD=1; _innerloop_completion innerloop; echo "${COMPREPLY[@]}"'
    environment = os.environ | {"PATH": f"{Path(command('innerloop')).parent}:{os.environ['PATH']}"}
    completed = subprocess.run(
        ["bash", "-c", f"{script}\n{ask}"], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    assert completed.stdout.split() == ["doctor"]
