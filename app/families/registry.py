"""Finding families by name: ours and those of other packages, in the same way.

Ours are the modules of `app.families` that have a factory called `family`. Another package names its factory in its
pyproject.toml, and installing that package is all that is needed:

    [project.entry-points."innerloop.families"]
    pendulum = "my_package.pendulum:Pendulum"
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import app.families
from app.families.family import Family
from app.plugins import discover


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
