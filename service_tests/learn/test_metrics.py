import pytest
import torch

from app.learn.metrics import interval


def test_interval() -> None:
    mean, half_width = interval(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert mean == 2.5
    assert half_width == pytest.approx(1.96 * 1.2909944 / 2)


def test_interval_covers() -> None:
    generator = torch.Generator().manual_seed(0)
    intervals = [interval(torch.randn(100, generator=generator)) for _ in range(1000)]
    covered = sum(abs(each.mean) <= each.half_width for each in intervals)
    assert 925 <= covered <= 970
