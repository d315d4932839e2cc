"""Finding families by name: those of this package and those of other installed packages, in the same way.

Those of this package are the modules of `app.families` that define a factory called `family`. Another package names its
factory in its pyproject.toml; then installing that package is enough:

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
    """The families that are installed, by name, each as a function that imports its factory."""
    return discover(app.families, attribute="family", group="innerloop.families")


def make(name: str, options: Mapping[str, Any], data: Path | None = None) -> Family:
    """The family of that name with these options.

    data: the folder of its data set, if the family reads one. It is not an option: bundles hold the options but no path

    Raises KeyError for an unknown name, TypeError for options it does not have, and whatever a plug-in raises.
    `app.training.family_and_network.make_family` turns all of these into errors for users.
    """
    keywords = {} if data is None else {"data": data}
    return families()[name]()(**options, **keywords)
