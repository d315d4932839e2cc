"""Finding encoders by name: those of this package and those of other installed packages, in the same way.

Those of this package are the modules of `app.encoders` that define a class called `encoder`. Another package names its
class in its pyproject.toml; then installing that package is enough:

    [project.entry-points."innerloop.encoders"]
    spectrum = "my_package.spectrum:SpectrumEncoder"
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import app.encoders
from app.encoders.encoder import Encoder, EncoderType, Rows, StateError
from app.errors import InnerloopError, TrainingError, one_of
from app.plugins import discover, user_code


def encoders() -> dict[str, Callable[[], EncoderType]]:
    """The encoders that are installed, by name, each as a function that imports its class."""
    return discover(app.encoders, attribute="encoder", group="innerloop.encoders")


def fit(name: str, rows: Rows, options: Mapping[str, Any]) -> Encoder:
    """The encoder of that name, fitted on training rows.

    Raises Invalid for a row that cannot be used, and TrainingError for an unknown name or options that do not fit.
    """
    found = encoders()
    if name not in found:
        raise TrainingError(f"encoder: expected {one_of(sorted(found))}, got {name!r}")
    with user_code(f"the encoder {name}"):
        return found[name]().fit(rows, **options)


def restore(name: str, json: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Encoder:
    """The encoder of that name with the state that it once wrote. Raises StateError where it cannot be restored."""
    found = encoders()
    if name not in found:
        raise StateError(f"encoder: expected {one_of(sorted(found))}, got {name!r}: install the package that has it")
    try:
        return found[name]().from_state(json, arrays)
    except (StateError, InnerloopError):
        raise
    except (Exception, SystemExit) as error:  # an encoder may be a user's own code
        message = " ".join(str(error).split())
        raise StateError(f"the encoder {name!r} fails: {type(error).__name__}: {message}") from error
