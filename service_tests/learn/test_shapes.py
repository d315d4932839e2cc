import pytest
import torch
from jaxtyping import TypeCheckError

from app.learn.losses import mean_squared_error


def test_the_tests_check_shapes_at_run_time() -> None:
    with pytest.raises(TypeCheckError, match="mask"):
        mean_squared_error(torch.ones(3, 1), torch.ones(3, 1), torch.ones(2, dtype=torch.bool))
