"""The entry point of the command `innerloop`: Ctrl-C leaves no traceback while torch is imported, for two seconds."""

import os
import signal
import sys

INTERRUPTED = 130
"""The exit code of a command that Ctrl-C has ended, as shells have it."""


def main() -> None:
    """Import the commands, and run the one that was named."""
    is_server = sys.argv[1:2] == ["serve"]
    # a server that is stopped before it serves has dropped nothing; `serve` has handlers of its own later
    code = 0 if is_server else INTERRUPTED
    numbers = (signal.SIGINT, signal.SIGTERM) if is_server else (signal.SIGINT,)
    # at once: an exception in the middle of an import would be wrapped in others
    before = {number: signal.signal(number, lambda *_: os._exit(code)) for number in numbers}
    from app.cli.client_commands import NAMES
    from app.cli.client_commands import main as run

    if not NAMES.intersection(sys.argv[1:2]):
        from app.cli.main import main as run

    if not is_server:
        for number, handler in before.items():
            signal.signal(number, handler)
    run()
