"""Innerloop, Python and PyTorch, and whether the installed packages have the versions that Innerloop requires."""

import platform
from importlib import metadata

import torch
from packaging.requirements import Requirement

import app
from app.cli.checks.finding import Finding
from app.errors import expectation

PART = "versions"
DISTRIBUTION = "innerloop-server"


def check() -> Finding:
    """Compare the installed packages with the requirements of the distribution."""
    text = f"innerloop {app.__version__}, Python {platform.python_version()}, torch {torch.__version__}"
    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        fix = "run `pip install .` in the checkout, so that the versions of the packages can be checked"
        return Finding(PART, "warning", f"{text}. {DISTRIBUTION} is not installed: {fix}")
    required = [each for each in map(Requirement, lines) if each.marker is None or each.marker.evaluate({"extra": ""})]
    wrong = [each for each in required if not _fits(each)]
    if not wrong:
        return Finding(PART, "ok", text)
    expected = "; ".join(expectation(each.name, _bounds(each), _version(each.name) or "none") for each in wrong)
    fix = f"run `pip install {' '.join(repr(f'{each.name}{each.specifier}') for each in wrong)}`"
    return Finding(PART, "warning", f"{text}. {expected}: {fix}")


def _fits(required: Requirement) -> bool:
    version = _version(required.name)
    return version is not None and required.specifier.contains(version, prereleases=True)


def _bounds(required: Requirement) -> str:
    return ", ".join(sorted(map(str, required.specifier), reverse=True)) or "any version"


def _version(package: str) -> str | None:
    """The installed version; None if there is none."""
    if package == "torch":  # as it is imported, in case another one lies before the installed one
        return str(torch.__version__)
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
