"""When a query is unlike every class of its support set. `support_ood` says when a support set is unlike training."""

from app.learn.calibration import Calibration


def familiarity_threshold(calibration: Calibration, shots: int | float) -> float:
    """The largest logit below which a query counts as unlike every class of the support set.

    calibration: one that has `familiarity`
    shots: support examples per class; between two calibrated numbers the threshold is interpolated linearly in the
        logarithm of the shots
    """
    smaller, larger, fraction = calibration.neighbours(shots)
    return (1 - fraction) * calibration.familiarity[smaller] + fraction * calibration.familiarity[larger]
