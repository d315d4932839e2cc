"""Which systems the server runs on."""

from importlib.util import find_spec

from app.errors import StartError

ONLY_UNIX = ("fcntl", "pwd", "resource")
"""Modules of Python that the server needs and Windows lacks."""


def check_system() -> None:
    """Raise StartError where the server cannot run. Call it before the server is imported."""
    if any(find_spec(module) is None for module in ONLY_UNIX):
        raise StartError("the server runs on Linux and macOS: on Windows, use WSL or Docker")
