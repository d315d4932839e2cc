"""Finding plug-ins by name: those of this package and those of other installed packages, in the same way."""

import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import entry_points
from types import MappingProxyType, ModuleType
from typing import Any

from app.errors import InnerloopError, TrainingError

NO_HINTS: Mapping[str, str] = MappingProxyType({})


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


def option_names(factory: Callable[..., Any]) -> list[str] | None:
    """The keyword options that a plug-in's factory takes; None if that cannot be told."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(each.kind is each.VAR_KEYWORD for each in parameters):
        return None
    return [each.name for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]


@contextmanager
def user_code(name: str, hints: Mapping[str, str] = NO_HINTS) -> Iterator[None]:
    """Turn whatever a plug-in's or a user's own code raises into a TrainingError of one line that names the code.

    hints: what to do, by a part of the error's message
    """
    try:
        yield
    except InnerloopError:
        raise
    except (Exception, SystemExit) as error:
        message = " ".join(str(error).split())
        fix = "".join(f": {hint}" for part, hint in hints.items() if part in message)
        raise TrainingError(f"{name} raised {type(error).__name__}{': ' if message else ''}{message}{fix}") from error
