import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from app.learn.losses import ERRORS, LOSSES, mean_squared_error


@pytest.mark.parametrize("kind", sorted(LOSSES))
@given(real=st.integers(0, 5), padding=st.integers(0, 3))
def test_only_the_unmasked_examples_count(kind: str, real: int, padding: int) -> None:
    outputs, targets = torch.randn(2, real + padding, 3, generator=torch.Generator().manual_seed(real))
    mask = torch.arange(real + padding) < real
    outputs[real:] = torch.nan
    loss = LOSSES[kind](outputs, targets, mask)
    expected = LOSSES[kind](outputs[:real], targets[:real], mask[:real])
    torch.testing.assert_close(loss, expected)


def test_equals_torchs() -> None:
    outputs, targets = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    ours = mean_squared_error(outputs, targets, torch.ones(4, dtype=torch.bool))
    torch.testing.assert_close(ours, torch.nn.functional.mse_loss(outputs, targets))


def test_a_padding_task_has_no_loss() -> None:
    assert mean_squared_error(torch.ones(2, 1), torch.zeros(2, 1), torch.zeros(2, dtype=torch.bool)).item() == 0


@pytest.mark.parametrize("kind", sorted(LOSSES))
def test_the_loss_is_the_mean_of_the_errors(kind: str) -> None:
    outputs, targets = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    loss = LOSSES[kind](outputs, targets, torch.ones(5, dtype=torch.bool))
    torch.testing.assert_close(ERRORS[kind](outputs, targets).mean(), loss)


def test_every_kind_has_errors() -> None:
    assert ERRORS.keys() == LOSSES.keys()
