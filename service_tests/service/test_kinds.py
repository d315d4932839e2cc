"""What an answer is, by the kind of what is predicted."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.learn.losses import LOSSES
from app.learn.trust import Trust
from app.service.kinds import KINDS, probabilities
from app.service.task import Task

LOGITS = np.array([[2.0, 1.0, -3.0], [-1000.0, -990.0, -1000.0], [0.0, 0.0, 1.0]], np.float32)
LABELS = Task(np.zeros((6, 2), np.float32), np.array(["c", "a", "b", "a", "b", "c"], object), 1, 0.1)
TRUST = Trust(tasks=1, shots=(1, 2), familiar=(-5.0, 0.5), temperature=2.0)


def test_every_kind_that_has_a_loss_is_served() -> None:
    assert KINDS.keys() == LOSSES.keys()


def test_a_label_is_the_most_probable_one() -> None:
    answer = KINDS["classification"].answer(LOGITS, LABELS, Trust(), None)
    assert answer.predictions == ["c", "a", "b"]
    assert answer.labels == ("c", "a", "b")
    assert answer.unlike is None
    assert answer.probabilities is not None
    expected = np.exp(LOGITS[0]) / np.exp(LOGITS[0]).sum()
    np.testing.assert_allclose(answer.probabilities[0], expected, rtol=1e-6)


def test_a_query_is_unlike_where_its_largest_logit_is_small() -> None:
    """Two examples a class: the threshold is the second one, of the logits before the temperature."""
    answer = KINDS["classification"].answer(LOGITS, LABELS, TRUST, None)
    assert answer.unlike == [False, True, False]
    one_each = replace(LABELS, inputs=LABELS.inputs[:3], targets=LABELS.targets[:3])
    assert KINDS["classification"].answer(LOGITS - 1, one_each, TRUST, None).unlike == [False, True, False]


@given(st.floats(-(2.0**99), 2.0**99, width=32), st.floats(0.1, 10))
def test_probabilities_are_of_differences_alone(shift: float, temperature: float) -> None:
    found = probabilities(np.array([[shift, shift, shift]], np.float32), temperature)
    np.testing.assert_allclose(found, 1 / 3, rtol=1e-6)
    assert found.dtype == np.float32


def test_an_interval_has_the_prediction_in_its_middle() -> None:
    widths = (((0.5, 1.0), (2.0, 4.0)),)
    trust = Trust(tasks=1, shots=(5,), levels=(0.8, 0.9), half_widths=widths)
    outputs = np.array([[1.0, 10.0], [2.0, 20.0]], np.float32)
    answer = KINDS["regression"].answer(outputs, LABELS, trust, 0.9)
    assert answer.predictions is outputs
    np.testing.assert_array_equal(answer.lower, outputs - np.array([1.0, 4.0]))
    np.testing.assert_array_equal(answer.upper, outputs + np.array([1.0, 4.0]))
    assert KINDS["regression"].answer(outputs, LABELS, trust, None).lower is None
