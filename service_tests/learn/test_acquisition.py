import math

import pytest
import torch

from app.learn.acquisition import entropy, log_expected_improvement


def integral(mean: float, std: float, best: float) -> float:
    """The expected improvement by the trapezoid rule."""
    y = torch.linspace(best, best + max(mean - best, 0) + 12 * std, 200_001, dtype=torch.float64)
    density = torch.exp(-((y - mean) / std).square() / 2) / (std * math.sqrt(2 * math.pi))
    return torch.trapezoid((y - best) * density, y).item()


@pytest.mark.parametrize(
    ("mean", "std", "best"), [(0.0, 1.0, 0.0), (3.0, 0.5, 1.0), (-1.0, 2.0, 0.5), (0.0, 1.0, 1.01), (0.0, 1.0, 6.0)]
)
def test_expected_improvement_is_its_integral(mean: float, std: float, best: float) -> None:
    score = log_expected_improvement(torch.tensor([mean]), torch.tensor([std]), best).exp().item()
    assert score == pytest.approx(integral(mean, std, best), rel=1e-5)


def test_far_below_the_best_it_is_finite_and_still_tells_candidates_apart() -> None:
    mean = -torch.logspace(-2, 30, 3000, dtype=torch.float64)
    scores = log_expected_improvement(mean, torch.ones_like(mean), 0.0)
    assert torch.isfinite(scores).all()
    assert (scores.diff() < 0).all(), "further below is worth less, across all expansions"
    # the asymptotic expansion: phi(z) / z^2
    assert scores[mean < -1e4][0].item() == pytest.approx(
        -(mean[mean < -1e4][0].item() ** 2) / 2
        - math.log(2 * math.pi) / 2
        - 2 * math.log(-mean[mean < -1e4][0].item()),
        rel=1e-9,
    )


def test_without_any_doubt_it_is_the_improvement_itself() -> None:
    scores = log_expected_improvement(torch.tensor([2.5, 1.0, -3.0]), torch.zeros(3), 1.0)
    assert scores[0].item() == pytest.approx(math.log(1.5))
    assert torch.isfinite(scores).all()
    assert scores[0] > scores[1] > scores[2]


def test_entropy_is_largest_where_all_labels_are_as_likely() -> None:
    likely = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    expected = torch.tensor([0.0, math.log(2), math.log(3)], dtype=torch.float64)
    torch.testing.assert_close(entropy(likely), expected, rtol=1e-6, atol=1e-12)
