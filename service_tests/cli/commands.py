"""Running the command `innerloop`."""

import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from service_tests import forked
from service_tests.processes import ROOT, command


def innerloop(*words: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run it in a folder, in this process: a process of its own takes seconds to import torch."""
    from app.cli.main import main  # after the shape checks are installed

    out, errors, arguments = StringIO(), StringIO(), ["innerloop", *words]
    with (
        chdir(folder),
        redirect_stdout(out),
        redirect_stderr(errors),
        patch.object(sys, "argv", arguments),
        patch.object(sys, "path", [*sys.path]),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code
        else:
            code = 0
    return subprocess.CompletedProcess(
        arguments, code if isinstance(code, int) else 0, out.getvalue(), errors.getvalue()
    )


def installed(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command in a process of its own, and wait for its end."""
    return forked.run([command("innerloop"), *words])
