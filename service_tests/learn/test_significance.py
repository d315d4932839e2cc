import pytest
import torch

from app.learn.significance import interval, sign_test


def test_interval() -> None:
    mean, half_width = interval(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert mean == 2.5
    assert half_width == pytest.approx(1.96 * 1.2909944 / 2)


def test_interval_covers() -> None:
    generator = torch.Generator().manual_seed(0)
    intervals = [interval(torch.randn(100, generator=generator)) for _ in range(1000)]
    covered = sum(abs(each.mean) <= each.half_width for each in intervals)
    assert 925 <= covered <= 970


@pytest.mark.parametrize(
    ("differences", "probability"),
    [
        ([1, 2, 3, 4, 5], 1 / 32),
        ([9, 1, 1, 1, 1, 1, 1, 1, 1, -90], 11 / 1024),
        ([1, -1], 3 / 4),
        ([-1, -1], 1),
        ([1, 1, 0, 0], 1 / 4),
        ([0], 1),
        ([], 1),
    ],
)
def test_sign_test(differences: list[float], probability: float) -> None:
    assert sign_test([float(each) for each in differences]) == probability
