import math
from dataclasses import replace

import pytest
import torch

from app.learn.support_ood import MAX_ERROR, OODReference, OODStatus, compare_images, task_error

REFERENCE = OODReference(
    tasks=600,
    seed=1,
    input_center=(0.0, 10.0),
    input_scale=(1.0, 2.0),
    input_reach=2.0,
    support_sizes=(1, 4, 9),
    error_limits=(9.0, 3.0, 1.0),
)


def judge(errors: list[float], adapted_to: int, inputs: list[list[float]] | None = None) -> OODStatus:
    inputs = inputs or [[0.0, 10.0]] * len(errors)
    return REFERENCE.compare(torch.tensor(inputs), torch.tensor(errors), adapted_to)


@pytest.mark.parametrize(("adapted_to", "threshold"), [(1, 9.0), (3, 9.0), (4, 3.0), (8, 3.0), (9, 1.0), (1000, 1.0)])
def test_errors_are_held_against_the_next_smaller_number(adapted_to: int, threshold: float) -> None:
    assert judge([threshold - 0.1, threshold], adapted_to) is OODStatus.like
    assert judge([threshold + 0.1, threshold], adapted_to) is OODStatus.large_error


@pytest.mark.parametrize("unknown", [math.nan, math.inf])
def test_an_unknown_error_is_a_large_one(unknown: float) -> None:
    assert judge([0.1, unknown], 9) is OODStatus.large_error
    assert task_error(torch.tensor([unknown, unknown])).item() == pytest.approx(MAX_ERROR)


def test_a_bundle_whose_own_tasks_diverge_flags_no_errors() -> None:
    wild = replace(REFERENCE, error_limits=(MAX_ERROR,) * 3)
    assert wild.compare(torch.tensor([[0.0, 10.0]]), torch.tensor([math.nan]), 9) is OODStatus.like


@pytest.mark.parametrize(("input", "far"), [([1.9, 10.0], False), ([2.1, 10.0], True), ([0.0, 5.9], True)])
def test_inputs_by_their_furthest_feature(input: list[float], far: bool) -> None:
    assert judge([0.1], 9, [input]) is (OODStatus.far_inputs if far else OODStatus.like)


def test_of_many_inputs_a_few_may_be_far() -> None:
    near, far = [0.0, 10.0], [3.0, 10.0]
    assert judge([0.1] * 99, 9, [near] * 98 + [far]) is OODStatus.far_inputs
    assert judge([0.1] * 100, 9, [near] * 99 + [far]) is OODStatus.like


def test_an_empty_reference_gives_no_status() -> None:
    status = OODReference().compare(torch.zeros(3, 2), torch.zeros(3), 2)
    assert status is OODStatus.unknown
    assert status.unlike_training is None
    assert status.value == ""


@pytest.mark.parametrize("status", [each for each in OODStatus if each is not OODStatus.unknown])
def test_each_status_has_its_sentence(status: OODStatus) -> None:
    assert status.value.startswith("The support set ")
    assert status.unlike_training is (" is unlike " in status.value)


def test_of_many_images_a_few_may_be_unlike_those_of_training() -> None:
    unlike = torch.arange(100) < 1
    assert compare_images(unlike) is OODStatus.like_images
    assert compare_images(unlike[:99]) is OODStatus.unlike_images
    assert compare_images(unlike[:99], torch.where(unlike, 0.5, 1.0)[:99].double()) is OODStatus.like_images


def test_fits() -> None:
    assert OODReference().fits(3)
    assert REFERENCE.fits(2)
    assert not REFERENCE.fits(3)
    assert not replace(REFERENCE, input_scale=(1.0, 0.0)).fits(2)
    assert not replace(REFERENCE, support_sizes=(1, 9, 4)).fits(2)
    assert not replace(REFERENCE, error_limits=(1.0,)).fits(2)
    assert not replace(REFERENCE, tasks=0).fits(2)
