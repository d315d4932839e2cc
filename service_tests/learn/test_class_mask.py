import torch

from app.learn.class_mask import class_counts, mask_absent


def test_only_real_examples_count() -> None:
    targets = torch.eye(4)[[0, 2, 2, 3]]
    counts = class_counts(targets, torch.tensor([True, True, True, False]))
    assert counts.tolist() == [1, 0, 2, 0]


def test_what_is_in_the_padding_does_not_count() -> None:
    targets = torch.stack([torch.eye(2)[0], torch.full((2,), torch.nan)])
    assert class_counts(targets, torch.tensor([True, False])).tolist() == [1, 0]


def test_a_class_without_examples_has_no_probability() -> None:
    logits = torch.tensor([[1.0, 90.0, 2.0]])
    probabilities = mask_absent(logits, torch.tensor([1.0, 0.0, 3.0])).softmax(-1)
    assert probabilities[0, 1] == 0
    torch.testing.assert_close(probabilities[0, [0, 2]], logits[0, [0, 2]].softmax(-1))


def test_without_any_class_all_are_equal() -> None:
    probabilities = mask_absent(torch.randn(1, 4), torch.zeros(4)).softmax(-1)
    assert probabilities.tolist() == [[0.25] * 4]
