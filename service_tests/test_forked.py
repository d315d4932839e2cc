"""Commands in forks are as those that `subprocess` starts."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from service_tests import forked

WAITING = "import sys, time; print('begun', flush=True); time.sleep(60)"


@pytest.mark.parametrize(
    "code",
    [
        "print('out'); import sys; print('error', file=sys.stderr)",
        "raise SystemExit(3)",
        "raise SystemExit('a sentence')",
        "raise SystemExit",
        "import sys; print(sys.argv, __name__)",
        "import atexit; atexit.register(print, 'at the end')",
        "import threading, time; threading.Thread(target=lambda: (time.sleep(0.1), print('later'))).start()",
        "import os; print(os.getcwd(), sorted(os.environ))",
    ],
)
def test_code_runs_as_in_python(code: str, tmp_path: Path) -> None:
    words, environment = [sys.executable, "-c", code, "a", "b"], {"LC_CTYPE": "C.UTF-8", "SOME": "value"}
    expected = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    done = forked.run(words, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (expected.returncode, expected.stdout, expected.stderr)


def test_an_error_has_its_trace() -> None:
    done = forked.run([sys.executable, "-c", "1 / 0"])
    assert done.returncode == 1
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_nothing_of_the_server_is_imported() -> None:
    code = "import sys; print([name for name in sys.modules if name.partition('.')[0] == 'app'])"
    assert forked.run([sys.executable, "-c", code]).stdout == "[]\n"


def test_a_script_runs(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import sys; print(sys.argv)")
    words = [sys.executable, str(tmp_path / "script.py"), "a"]
    assert forked.run(words).stdout == f"{words[1:]}\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_it(number: signal.Signals, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as out:
        process = forked.start([sys.executable, "-c", WAITING], stdout=out)
    while not (tmp_path / "out").read_text():
        time.sleep(0.01)
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.send_signal(number)
    assert process.wait(10) == -number
    process.terminate()


def test_an_interrupt_is_an_exception(tmp_path: Path) -> None:
    code = f"try:\n exec({WAITING!r})\nexcept KeyboardInterrupt:\n print('interrupted')"
    with (tmp_path / "out").open("w") as out:
        process = forked.start([sys.executable, "-c", code], stdout=out)
    while not (tmp_path / "out").read_text():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert (tmp_path / "out").read_text() == "begun\ninterrupted\n"


def test_a_command_that_takes_too_long_is_killed() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        forked.run([sys.executable, "-c", WAITING], timeout=0.2)
