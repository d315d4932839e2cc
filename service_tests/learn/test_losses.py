import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from app.learn.losses import KINDS, mean_cross_entropy, mean_squared_error


def drawn(kind: str, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs and targets of a kind, for so many examples."""
    outputs, targets = torch.randn(2, count, 3, generator=torch.Generator().manual_seed(count))
    hot = torch.eye(3)[targets.argmax(-1)]
    if KINDS[kind].weighted:
        return outputs, torch.cat([hot, targets[:, :1]], dim=1)
    return outputs, hot if KINDS[kind].one_hot else targets


@pytest.mark.parametrize("kind", sorted(KINDS))
@given(real=st.integers(0, 5), padding=st.integers(0, 3))
def test_only_the_unmasked_examples_count(kind: str, real: int, padding: int) -> None:
    outputs, targets = drawn(kind, real + padding)
    mask = torch.arange(real + padding) < real
    outputs[real:] = torch.nan
    loss = KINDS[kind].loss(outputs, targets, mask)
    expected = KINDS[kind].loss(outputs[:real], targets[:real], mask[:real])
    torch.testing.assert_close(loss, expected)


def test_squared_error_equals_torchs() -> None:
    outputs, targets = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    ours = mean_squared_error(outputs, targets, torch.ones(4, dtype=torch.bool))
    torch.testing.assert_close(ours, torch.nn.functional.mse_loss(outputs, targets))


def test_cross_entropy_equals_torchs() -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    classes = torch.tensor([0, 2, 2, 1])
    ours = mean_cross_entropy(logits, torch.eye(3)[classes], torch.ones(4, dtype=torch.bool))
    torch.testing.assert_close(ours, torch.nn.functional.cross_entropy(logits, classes))


@pytest.mark.parametrize("lowest", [torch.finfo(torch.float32).min, -torch.inf])
def test_a_class_that_does_not_exist_changes_no_loss_and_no_gradient(lowest: float) -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    targets, mask = torch.eye(3)[[0, 2, 2, 1]], torch.ones(4, dtype=torch.bool)
    wider = torch.cat([logits, torch.full((4, 2), lowest)], dim=1)
    loss = mean_cross_entropy(wider, torch.nn.functional.pad(targets, (0, 2)), mask)
    expected = mean_cross_entropy(logits, targets, mask)
    torch.testing.assert_close(loss, expected, rtol=0, atol=0)
    gradients = (torch.autograd.grad(each, logits)[0] for each in (loss, expected))
    torch.testing.assert_close(next(gradients), next(gradients))


def test_a_padding_task_has_no_loss() -> None:
    assert mean_squared_error(torch.ones(2, 1), torch.zeros(2, 1), torch.zeros(2, dtype=torch.bool)).item() == 0


def test_the_target_of_a_decision_has_one_more_column() -> None:
    columns = {name: kind.columns(3) for name, kind in KINDS.items()}
    assert columns == {"classification": 3, "decision": 4, "regression": 3}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_loss_is_the_mean_of_the_errors(kind: str) -> None:
    outputs, targets = drawn(kind, 5)
    loss = KINDS[kind].loss(outputs, targets, torch.ones(5, dtype=torch.bool))
    torch.testing.assert_close(KINDS[kind].error(outputs, targets).mean(), loss)
