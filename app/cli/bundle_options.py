"""What the options of `innerloop bundle` have to fulfil. Each error names the option and the fix."""

import math
from collections.abc import Sequence
from pathlib import Path

from app.bundles.manifest import Bounds
from app.bundles.schema import IMAGES, Schema
from app.encoders.encoder import Encoder
from app.errors import TrainingError, exact, expectation, one_of
from app.learn.decision_weights import Weighing
from app.learn.losses import KINDS
from app.learn.policies import Actions
from app.learn.target_scale import TargetScale, TargetSpec

MAX_STEPS = 100
"""The usual bound on the steps of a request."""


def inner_bounds(steps: int, max_steps: int | None, rate: float, max_rate: float | None) -> Bounds:
    """The bounds of --steps, --max-steps, --rate and --max-rate."""
    for option, value in (("--rate", rate), ("--max-rate", max_rate)):
        if value is not None and not 0 < value < math.inf:
            raise TrainingError(expectation(option, "a number above 0", exact(value)))
    if max_steps is not None and max_steps < steps:
        raise TrainingError(expectation("--max-steps", f"at least --steps ({steps})", max_steps))
    if max_rate is not None and max_rate < rate:
        raise TrainingError(expectation("--max-rate", f"at least --rate ({exact(rate)})", exact(max_rate)))
    most = max(steps, MAX_STEPS) if max_steps is None else max_steps
    return Bounds(steps, most, rate, rate if max_rate is None else max_rate)


def check_initial_loss(initial_loss: float) -> None:
    """Raise TrainingError unless --initial-loss is a number above 0."""
    if not 0 < initial_loss < math.inf:
        raise TrainingError(expectation("--initial-loss", "a number above 0", exact(initial_loss)))


def actions_of(kind: str, targets: int, low: Sequence[float], high: Sequence[float]) -> Actions | None:
    """The form of an action of --low and --high; None if the kind has no actions."""
    if not KINDS[kind].weighted:
        for option, numbers in (("--low", low), ("--high", high)):
            if numbers:
                fix = "set --kind decision, or leave --low and --high out"
                raise TrainingError(expectation(option, "--kind decision", kind, fix))
        return None
    actions = Actions(tuple(low), tuple(high))
    if not actions.fits(targets):
        for option, numbers in (("--low", low), ("--high", high)):
            if len(numbers) != targets:
                expected = f"{targets} (one for each number of an action, --targets), or none for discrete actions"
                raise TrainingError(expectation(option, expected, len(numbers)))
        pairs = zip(low, high, strict=True)
        wrong = ", ".join(f"{exact(least)} and {exact(most)}" for least, most in pairs if not least < most)
        raise TrainingError(expectation("--low", "each number below that of --high", wrong))
    return actions


def weighing_of(kind: str, discount: float | None, smoothing: float | None) -> Weighing | None:
    """How --discount and --smoothing weigh decisions; None if the kind has no decisions."""
    given = {"discount": discount, "smoothing": smoothing}
    for name, value in given.items():
        if value is not None and not KINDS[kind].weighted:
            fix = f"set --kind decision, or leave --{name} out"
            raise TrainingError(expectation(f"--{name}", "--kind decision", kind, fix))
    if not KINDS[kind].weighted:
        return None
    return Weighing(**{name: value for name, value in given.items() if value is not None})


def schema_of(
    features: int | None,
    targets: int,
    shape: Sequence[int],
    image: str,
    encoder: Encoder | None,
    file: Path | None,
    actions: Actions | None,
    weighing: Weighing | None,
) -> Schema:
    """The schema of --features, --targets, --shape and --image. file: of the encoder"""
    if image and image not in IMAGES:
        raise TrainingError(expectation("--image", one_of(IMAGES), repr(image)))
    if image and len(shape) != 2:
        actual = " ".join(f"--shape {length}" for length in shape) or "none"
        raise TrainingError(expectation("--shape", "--shape ROWS --shape COLUMNS with --image", actual))
    width = None if encoder is None else math.prod(encoder.feature_shape)
    if features is None:
        features = width or 1
    if width not in (None, features):
        actual = f"{width} from {file}"
        fix = f"set --features {width} for a network that takes {width}, or change the columns"
        raise TrainingError(expectation("--encoder", f"{features} features (--features)", actual, fix))
    if shape and (min(shape) < 1 or math.prod(shape) != features):
        product = math.prod(shape)
        fix = f"set --features {product}" if min(shape) > 0 else ""
        expected, actual = f"lengths whose product is --features ({features})", " x ".join(map(str, shape))
        raise TrainingError(expectation("--shape", expected, actual, fix))
    return Schema(features, targets, tuple(shape), image, actions, weighing)


def targets_of(
    kind: str,
    targets: int,
    names: Sequence[str],
    units: Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
) -> TargetSpec | None:
    """What the --target- options say of the targets; None if they say nothing."""
    given = {"--target-name": names, "--target-unit": units, "--target-mean": mean, "--target-std": std}
    if not any(given.values()):
        return None
    for option, values in given.items():
        if values and not KINDS[kind].numeric:
            fix = f"set --kind regression, or leave {option} out"
            raise TrainingError(expectation(option, "--kind regression", kind, fix))
        if values and len(values) != targets:
            raise TrainingError(expectation(option, f"{targets} (one for each target) or none", len(values)))
    for option, values, other in (("--target-mean", mean, std), ("--target-std", std, mean)):
        if other and not values:
            beside = "--target-std" if option == "--target-mean" else "--target-mean"
            raise TrainingError(expectation(option, f"{targets}, as {beside} is given", "none"))
    scale = TargetScale(tuple(mean), tuple(std)) if mean else None
    return TargetSpec(tuple(names), tuple(units), scale=scale)
