"""Finding encoders by name: those of this package and those of other installed packages, in the same way.

Those of this package are the modules of `app.encoders` that define a class called `encoder`. Another package names its
class in its pyproject.toml; then installing that package is enough:

    [project.entry-points."innerloop.encoders"]
    spectrum = "my_package.spectrum:SpectrumEncoder"
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import app.encoders
from app.encoders.encoder import CodeError, Encoder, EncoderType, Rows, StateError
from app.encoders.spec import EncoderSpec
from app.errors import TrainingError, expectation, one_of
from app.plugins import discover, option_names, user_code


def encoders() -> dict[str, Callable[[], EncoderType]]:
    """The encoders that are installed, by name, each as a function that imports its class."""
    return discover(app.encoders, attribute="encoder", group="innerloop.encoders")


def fit(name: str, rows: Rows, options: Mapping[str, Any]) -> Encoder:
    """The encoder of that name, fitted on training rows.

    Raises Invalid for a row that cannot be used, and TrainingError for an unknown name or options that do not fit.
    """
    available = encoders()
    if name not in available:
        raise TrainingError(f"encoder: expected {one_of(sorted(available))}, got {name!r}")
    with user_code(f"the encoder {name}"):
        factory = available[name]().fit
        known = option_names(factory)
        if known is not None and (unknown := sorted(options.keys() - set(known[1:]))):
            expected = one_of(known[1:]) if known[1:] else "none"
            raise TrainingError(expectation(f"options of the encoder {name!r}", expected, ", ".join(unknown)))
        return factory(rows, **options)


def restore(spec: EncoderSpec, arrays: Mapping[str, np.ndarray]) -> Encoder:
    """The encoder with the state and the arrays that it once wrote, which has encoded its own example since.

    Raises StateError where it cannot be restored: CodeError, where that is not because of the state.
    """
    available = encoders()
    if spec.name not in available:
        raise CodeError(f"expected {one_of(sorted(available))}, got {spec.name!r}: install the package that has it")
    try:
        restored = available[spec.name]().from_state(spec.state, arrays)
        check_output(restored)
    except StateError:
        raise
    except (Exception, SystemExit) as error:  # an encoder may be a user's own code
        message = " ".join(str(error).split())
        raise CodeError(f"the encoder {spec.name!r} fails: {type(error).__name__}: {message}") from error
    return restored


def check_output(encoder: Encoder) -> None:
    """Raise StateError unless the example of an encoder has as many features as it says. Other errors are its own."""
    features = encoder.encode([encoder.describe()["example"]])
    expected = 1, math.prod(encoder.feature_shape)
    if features.dtype != np.float32 or features.shape != expected or not np.isfinite(features).all():
        actual = f"{features.dtype} {list(features.shape)}"
        raise CodeError(f"expected its example to be encoded as finite float32 {list(expected)}, got {actual}")
