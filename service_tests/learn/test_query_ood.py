import pytest
import torch

from app.learn.calibration_table import Calibration
from app.learn.query_ood import familiarity_threshold, largest_cosines, similarity_threshold

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


def test_the_threshold_of_similarity_is_interpolated_too() -> None:
    texts = Calibration(tasks=100, seed=1, shots=(1, 4), similarity=(0.2, 0.4))
    assert similarity_threshold(texts, 2) == pytest.approx(0.3)
    assert similarity_threshold(texts, 9) == 0.4


def test_the_largest_cosine_is_to_an_example_or_to_the_mean_of_a_class() -> None:
    support = torch.tensor([[2.0, 0, 0], [0, 1, 0], [0, 0, 1], [5, 5, 5]])
    targets = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    mask = torch.tensor([True, True, True, False])
    queries = torch.tensor([[3.0, 0, 0], [1, 1, 0], [0, 1, 1], [-1, -1, -1]])
    half = 0.5**0.5
    expected = torch.tensor([1.0, 1.0, half, -1 / 3**0.5])
    torch.testing.assert_close(largest_cosines(queries, support, targets, mask), expected)


def test_an_example_of_a_larger_weight_moves_the_mean() -> None:
    support, targets = torch.eye(2), torch.ones(2, 1)
    query, even = torch.tensor([[3.0, 1.0]]), torch.ones(2)
    heavy = largest_cosines(query, support, targets, torch.tensor([3.0, 1.0]))
    assert heavy.item() == pytest.approx(1.0)
    assert largest_cosines(query, support, targets, even).item() == pytest.approx(3 / 10**0.5)


def test_a_cosine_is_never_above_1() -> None:
    rows = torch.randn(200, 384, generator=torch.Generator().manual_seed(0))
    targets, mask = torch.eye(200), torch.ones(200, dtype=torch.bool)
    cosines = largest_cosines(rows, rows, targets, mask)
    assert cosines.max() == 1
    assert cosines.min() > 0.999
