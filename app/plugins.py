"""Finding plug-ins by name: those of this package and those of other installed packages, in the same way."""

import pkgutil
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any


def discover(package: ModuleType, attribute: str, group: str) -> dict[str, Callable[[], Any]]:
    """The plug-ins of one sort by name, each as a function that imports it.

    They are the modules of `package` that define `attribute`, by their own names, and what installed packages register
    under the entry point `group`. Where both have a name, the module of `package` wins. Calling what is returned raises
    whatever importing that plug-in raises.
    """
    ours: dict[str, Callable[[], Any]] = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = import_module(f"{package.__name__}.{info.name}")
        if hasattr(module, attribute):
            ours[info.name] = lambda module=module: getattr(module, attribute)  # type: ignore[misc]
    others: dict[str, Callable[[], Any]] = {point.name: point.load for point in entry_points(group=group)}
    return others | ours
