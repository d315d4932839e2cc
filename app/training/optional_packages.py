"""Packages that training needs and serving does not. The extra `train` brings them."""

from importlib.util import find_spec

from app.errors import TrainingError, missing_package

PLOTS, LOG = "matplotlib", "tensorboard"
"""Draws the plots of a card; logs the losses of a run."""


def require(*packages: str) -> None:
    """Raise TrainingError for the first of these packages that is not installed. Call it before long work."""
    for package in packages:
        if find_spec(package) is None:
            raise TrainingError(missing_package(package, "train"))
