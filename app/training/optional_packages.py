"""Packages that training needs and serving does not. The extras `train` and `tables` bring them."""

from importlib.util import find_spec

from app.errors import TrainingError, missing_package

PLOTS, LOG = "matplotlib", "tensorboard"
"""Draws the plots of a card; logs the losses of a run."""


TABLES = ("pyarrow", "sklearn")
"""Read tables, and fit what they are learned by."""


def require(*packages: str, extra: str = "train") -> None:
    """Raise TrainingError for the first of these packages that is not installed. Call it before long work.

    extra: that brings them
    """
    for package in packages:
        if find_spec(package) is None:
            raise TrainingError(missing_package(package, extra))
