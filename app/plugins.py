"""Finding plug-ins by name: those of this package and those of other installed packages, in the same way."""

import pkgutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from app.errors import InnerloopError, TrainingError


def discover(package: ModuleType, attribute: str, group: str) -> dict[str, Callable[[], Any]]:
    """The plug-ins of one sort by name, each as a function that imports it.

    These are the modules of `package` that define `attribute`, by their own names, and what installed packages register
    under the entry point `group`. Where both have a name, the module of `package` wins. The function raises whatever
    importing the plug-in raises.
    """
    ours: dict[str, Callable[[], Any]] = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = import_module(f"{package.__name__}.{info.name}")
        if hasattr(module, attribute):
            ours[info.name] = lambda module=module: getattr(module, attribute)  # type: ignore[misc]
    others: dict[str, Callable[[], Any]] = {point.name: point.load for point in entry_points(group=group)}
    return others | ours


@contextmanager
def user_code(name: str) -> Iterator[None]:
    """Turn whatever a plug-in's or a user's own code raises into a TrainingError of one line that names the code."""
    try:
        yield
    except InnerloopError:
        raise
    except (Exception, SystemExit) as error:
        message = " ".join(str(error).split())
        raise TrainingError(f"{name} raised {type(error).__name__}{': ' if message else ''}{message}") from error
