"""The process that forks for `service_tests.forked`: it imports what takes long, and waits for commands."""

import atexit
import json
import os
import runpy
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

LIBRARIES = (
    "fastapi.testclient",
    "httptools",
    "httpx",
    "jaxtyping",
    "msgspec",
    "numpy",
    "orjson",
    "PIL.Image",
    "pydantic_settings",
    "rich.console",
    "safetensors.torch",
    "torch._dynamo",
    "torch._decomp",
    "torch._meta_registrations",
    "torch.utils.flop_counter",
    "typer",
    "uvicorn",
    "uvloop",
    "watchfiles",
)


def next_command(connection: socket.socket) -> dict[str, Any] | None:
    """In a fork: the command that it is to run. In the process that forks: None, once there are no more commands."""
    while True:
        message, files, _, _ = socket.recv_fds(connection, 2**20, 3)
        if not message:
            return None
        if os.fork() == 0:
            connection.close()
            watch_a_fork(files)
            command: dict[str, Any] = json.loads(message)
            return command
        for file in files:
            os.close(file)


def watch_a_fork(files: list[int]) -> None:
    """Fork once more, and return in that fork, with its files in place. This process reports its id and its end."""
    stdout, stderr, report = files
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        for file in files:
            os.close(file)
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.write(report, f"{pid}\n".encode())
    os.write(report, f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n".encode())
    os._exit(0)


class Ending:
    """Ends a process without taking its modules apart, which takes seconds as they are shared with other processes.

    Python calls what was registered with `atexit` first last of all, and after it has waited for all threads.
    """

    def __init__(self) -> None:
        self.code = 0
        atexit.register(self)

    def __call__(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(self.code)

    @contextmanager
    def by_its_end(self) -> Iterator[None]:
        """Take the exit code from how a block ends, as Python does from how a program ends."""
        try:
            yield
        except SystemExit as end:
            self.code = end.code if isinstance(end.code, int) else int(end.code is not None)
            if self.code and not isinstance(end.code, int):
                print(end.code, file=sys.stderr)  # noqa: T201
        except BaseException as error:  # noqa: BLE001 (whatever a program raises)
            self.code = 130 if isinstance(error, KeyboardInterrupt) else 1
            sys.excepthook(type(error), error, error.__traceback__)


def run_command(words: list[str], cwd: str, env: dict[str, str]) -> None:
    """Run a command as Python would, in the main thread of this process."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    paths = env.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [path for path in paths if path and path not in sys.path]
    program, *arguments = words
    sys.argv = words
    if program != sys.executable:
        (point,) = entry_points(group="console_scripts", name=Path(program).name)
        sys.exit(point.load()())
    match arguments:
        case ["-c", code, *rest]:
            sys.argv = ["-c", *rest]
            exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
        case ["-m", module, *rest]:
            sys.argv = [module, *rest]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        case [script, *rest]:
            sys.argv = [script, *rest]
            runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    ending = Ending()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the processes that watch
    for library in LIBRARIES:
        import_module(library)
    command = next_command(socket.socket(fileno=int(sys.argv[1])))
    if command is not None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with ending.by_its_end():
            run_command(**command)
