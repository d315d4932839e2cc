import pytest

from app.learn.calibration_table import Calibration
from app.learn.query_ood import familiarity_threshold

KNOWN = Calibration(tasks=100, seed=1, shots=(1, 4), familiarity=(-8.0, -4.0))


@pytest.mark.parametrize(
    ("shots", "threshold"),
    [
        (4, -4.0),
        (2, -6.0),  # halfway from 1 to 4 by the logarithm
        (1, -8.0),
        (0.5, -8.0),
        (100, -4.0),
    ],
)
def test_the_threshold_is_interpolated_and_outside_that_of_the_nearest(shots: float, threshold: float) -> None:
    assert familiarity_threshold(KNOWN, shots) == pytest.approx(threshold)
