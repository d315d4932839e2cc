"""Numbers and times as the wire has them."""

import numpy as np
import pytest

from app.api.responses import round_loss, time


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (0.9994, "1970-01-01T00:00:00.999Z"),
        (0.9996, "1970-01-01T00:00:01.000Z"),
        (1_800_000_000.125, "2027-01-15T08:00:00.125Z"),
    ],
)
def test_a_time_is_rounded_to_milliseconds(seconds: float, text: str) -> None:
    assert time(seconds) == text


def test_a_loss_has_no_more_digits_than_float32() -> None:
    assert round_loss(12.357528686523438) == 12.357529
    assert np.isnan(round_loss(float("nan")))
