"""Whether the bundles of the models folder can be served."""

from collections.abc import Iterator
from pathlib import Path

import torch

from app.bundles.folder import load_all
from app.cli.checks.finding import Finding
from app.errors import ExtraMissing, cause_text, expectation
from app.service.catalogue import Catalogue
from app.service.model import Model

PART = "bundles"


def check(folder: Path, device: torch.device) -> Iterator[Finding]:
    """Load and verify each bundle, and let it answer one query on the device."""
    expected = "a folder with at least one bundle"
    try:
        loaded, refused = load_all(folder)
    except OSError as error:
        fix = "let the server read it, or set INNERLOOP_MODELS_DIR to another folder"
        yield Finding(PART, "problem", expectation(str(folder), expected, cause_text(error), fix))
        return
    models = Catalogue(lambda bundle: Model(bundle, device)).make_models(loaded, refused)
    if models:
        yield Finding(PART, "ok", f"{', '.join(models)} (in {folder})")
    for name, refusal in refused.items():
        fix = f"correct or replace the bundle {name}, or move it out of the folder"
        if isinstance(refusal, ExtraMissing):
            yield Finding(PART, "warning", str(refusal))
        else:
            yield Finding(PART, "problem", f"{refusal}. If this names no fix, {fix}")
    if not (models or refused):
        fix = "put a bundle into it, or set INNERLOOP_MODELS_DIR to a folder of bundles"
        actual = "one without bundles" if folder.is_dir() else "no such folder"
        yield Finding(PART, "problem", expectation(str(folder), expected, actual, fix))
