"""What a request may choose of the inner loop: steps and a learning rate within the bounds of the bundle."""

from app.errors import Invalid, exact
from app.service.model import Model
from app.service.record import InnerLoopSettings

MAX_DIGITS = 20
"""Digits of a number that a message repeats."""


def check_inner_loop(model: Model, settings: InnerLoopSettings) -> None:
    """Steps and learning rate lie within the bundle's bounds; a solved or a learned rate cannot be chosen."""
    steps, rate, label_names = settings
    if label_names is not None and model.bundle.manifest.label_names is None:
        sentence = f"the inputs of {model.bundle.name} are no texts, so leave label_names out"
        raise Invalid.unusable("label_names", sentence)
    if steps is None and rate is None:
        return
    bounds, algorithm, name = model.bundle.manifest.inner_loop, model.bundle.algorithm, model.bundle.name
    if algorithm.closed_form and steps is not None and steps != bounds.steps:
        fix = f"{name} adapts in closed form, so leave steps out"
        raise Invalid("steps", str(bounds.steps), _shown(steps), fix)
    if rate is not None and not algorithm.takes_rate:
        reason = "adapts in closed form" if algorithm.closed_form else "has learned rates"
        raise Invalid.unusable("learning_rate", f"{name} {reason}, so leave learning_rate out")
    if steps is not None and steps > bounds.max_steps:
        raise Invalid("steps", f"0 to {bounds.max_steps} for {name}", _shown(steps))
    if rate is not None and rate > bounds.max_learning_rate:
        limit = exact(bounds.max_learning_rate)
        raise Invalid("learning_rate", f"a number above 0 and at most {limit} for {name}", exact(rate))


def _shown(number: int) -> str:
    """A number of a client, cut if it is long."""
    digits = str(number)
    return digits if len(digits) <= MAX_DIGITS else f"{digits[:MAX_DIGITS]}..."
