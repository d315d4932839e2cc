"""Finding families by name: ours and those of other packages, in the same way.

Ours are the modules of `app.families` that have a factory called `family`. Another package names its factory in its
pyproject.toml, and installing that package is all that is needed:

    [project.entry-points."innerloop.families"]
    pendulum = "my_package.pendulum:Pendulum"
"""

import pkgutil
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import app.families
from app.families.family import Family


def discover(package: ModuleType, attribute: str, group: str) -> dict[str, Callable[[], Any]]:
    """The plug-ins of one sort by name, each as a function that loads it.

    They are the `attribute` of the modules of `package` that have one, and what installed packages name under the
    entry point `group`. A name of ours stays ours.
    """
    modules = {
        info.name: import_module(f"{package.__name__}.{info.name}") for info in pkgutil.iter_modules(package.__path__)
    }
    theirs: dict[str, Callable[[], Any]] = {point.name: point.load for point in entry_points(group=group)}
    ours = {name: partial(getattr, module, attribute) for name, module in modules.items() if hasattr(module, attribute)}
    return theirs | ours


def families() -> dict[str, Callable[[], Callable[..., Family]]]:
    """The families that can be had here."""
    return discover(app.families, attribute="family", group="innerloop.families")


def make(name: str, options: Mapping[str, Any], data: Path | None = None) -> Family:
    """The family of that name with these options.

    data: the folder of its data set, where it reads one. It is no option: bundles hold the options, never a path.

    Raises KeyError for an unknown name (`families` has the known ones) and TypeError for options it does not have.
    """
    place = {} if data is None else {"data": data}
    return families()[name]()(**options, **place)
