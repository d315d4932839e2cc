import pytest
import torch

from app.families.linear import Linear


@pytest.mark.parametrize(("features", "targets"), [(1, 1), (3, 2), (2, 5)])
def test_is_linear_in_any_dimension(features: int, targets: int) -> None:
    drawn = Linear(features, targets).sample(20, 30, torch.Generator().manual_seed(0))
    x = torch.cat([drawn.inputs, torch.ones(20, 30, 1)], dim=2).double()
    solution = torch.linalg.lstsq(x, drawn.targets.double()).solution
    torch.testing.assert_close(x @ solution, drawn.targets.double(), rtol=0, atol=1e-5)
    assert solution.shape == (20, features + 1, targets)
    assert solution.abs().max() <= 2 + 1e-4
