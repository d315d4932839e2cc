"""The error of an inner loop that diverged (`app.learn.adaptation_outcome`), with what to change."""

from app.errors import Diverged
from app.learn.adaptation_outcome import Adapted, Status
from app.learn.algorithms import Algorithm
from app.service.model import Model


def check_usable(adapted: Adapted, model: Model, *, stored: bool = False) -> Adapted:
    """Return `adapted`. Raises Diverged if the fast weights cannot be used.

    stored: whether the steps and the rate are those of a stored adaptation, so that this request cannot set them
    """
    if not adapted.status.usable:
        raise Diverged(diverged_detail(adapted.status, model.bundle.algorithm, stored=stored), adapted.losses)
    return adapted


def diverged_detail(status: Status, algorithm: Algorithm, *, stored: bool = False) -> str:
    """What to change after the inner loop diverged. Only an algorithm that takes a rate can get a smaller one."""
    grew = "more than 100-fold" if status is Status.diverged else "beyond the range of float32"
    fewer = "fewer `steps` or a smaller `learning_rate`" if algorithm.takes_rate else "fewer `steps`"
    fix = "Check the units of the examples"
    if not algorithm.closed_form:
        fix = f"{fix}, or {'adapt again with' if stored else 'send'} {fewer}"
    return f"The inner loop diverged: the support loss grew {grew}. {fix}"
