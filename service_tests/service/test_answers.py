"""Answers from network outputs, for each kind of prediction."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.bundles.folder import load
from app.bundles.schema import Schema
from app.learn import losses
from app.learn.calibration_table import Calibration
from app.learn.decision_weights import Weighing
from app.learn.policies import Actions
from app.service.answers import DEFAULT_OPTIONS, KINDS, Answer, Outputs, PredictOptions, probabilities
from app.service.nearest_example import Distances
from app.service.seeded_noise import noise
from app.service.task import Task
from app.service.unlike_queries import Far
from service_tests.processes import MAML

MANIFEST = load(MAML).manifest
NONE = Calibration()

LOGITS = np.array([[2.0, 1.0, -3.0], [-1000.0, -990.0, -1000.0], [0.0, 0.0, 1.0]], np.float32)
LABELS = Task(np.zeros((6, 2), np.float32), np.array(["c", "a", "b", "a", "b", "c"], object), 1, 0.1)
CALIBRATION = Calibration(tasks=1, shots=(1, 2), familiarity=(-5.0, 0.5), temperature=2.0)


def answer(
    kind: str,
    outputs: np.ndarray,
    task: Task | None,
    schema: Schema,
    calibration: Calibration = NONE,
    options: PredictOptions = DEFAULT_OPTIONS,
    far: Far = None,
    distances: Distances | None = None,
    std: np.ndarray | None = None,
) -> Answer:
    """The answer of a bundle with this schema and calibration."""
    manifest = replace(MANIFEST, kind=kind, schema=schema, calibration=calibration)
    return KINDS[kind].answer(Outputs(outputs, far, task, manifest, options, distances, std))


def test_every_kind_that_has_a_loss_is_served() -> None:
    assert KINDS.keys() == losses.KINDS.keys()


def test_a_label_is_the_most_probable_one() -> None:
    result = answer("classification", LOGITS, LABELS, Schema(2, 3))
    assert result.predictions == ["c", "a", "b"]
    assert result.labels == ("c", "a", "b")
    assert result.unlike is None
    assert result.probabilities is not None
    expected = np.exp(LOGITS[0]) / np.exp(LOGITS[0]).sum()
    np.testing.assert_allclose(result.probabilities[0], expected, rtol=1e-6)


def test_a_query_is_unlike_if_its_largest_logit_is_small() -> None:
    """With two examples a class the second threshold applies, to the logits before the temperature."""
    result = answer("classification", LOGITS, LABELS, Schema(2, 3), CALIBRATION)
    assert result.unlike == [False, True, False]
    one_each = replace(LABELS, inputs=LABELS.inputs[:3], targets=LABELS.targets[:3])
    assert answer("classification", LOGITS - 1, one_each, Schema(2, 3), CALIBRATION).unlike == [False, True, False]


def test_a_query_is_unlike_the_support_set_or_unlike_training() -> None:
    far = [False, False, True]
    assert answer("classification", LOGITS, LABELS, Schema(2, 3), far=far).unlike == far
    assert answer("classification", LOGITS, LABELS, Schema(2, 3), CALIBRATION, far=far).unlike == [False, True, True]


@given(st.floats(-(2.0**99), 2.0**99, width=32), st.floats(0.1, 10))
def test_probabilities_depend_only_on_differences_of_logits(shift: float, temperature: float) -> None:
    result = probabilities(np.array([[shift, shift, shift]], np.float32), temperature)
    np.testing.assert_allclose(result, 1 / 3, rtol=1e-6)
    assert result.dtype == np.float32


def test_an_interval_is_centred_on_the_prediction() -> None:
    widths = (((0.5, 1.0), (2.0, 4.0)),)
    calibration = Calibration(tasks=1, shots=(5,), levels=(0.8, 0.9), half_widths=widths)
    outputs = np.array([[1.0, 10.0], [2.0, 20.0]], np.float32)
    result = answer("regression", outputs, LABELS, Schema(2, 2), calibration, PredictOptions(interval=0.9))
    assert result.predictions is outputs
    np.testing.assert_array_equal(result.lower, outputs - np.array([1.0, 4.0]))
    np.testing.assert_array_equal(result.upper, outputs + np.array([1.0, 4.0]))
    assert answer("regression", outputs, LABELS, Schema(2, 2), calibration).lower is None


def test_relative_widths_are_multiplied_by_the_standard_deviations() -> None:
    calibration = Calibration(tasks=1, shots=(5,), levels=(0.9,), half_widths=(((2.0,),),), relative=True)
    outputs, std = np.zeros((3, 1), np.float32), np.array([[1.0], [0.5], [3.0]], np.float32)
    result = answer("regression", outputs, LABELS, Schema(2, 1), calibration, PredictOptions(interval=0.9), std=std)
    np.testing.assert_array_equal(result.upper, 2 * std)
    np.testing.assert_array_equal(result.std, std)


def test_a_query_that_is_unlike_training_has_no_interval() -> None:
    calibration = Calibration(tasks=1, shots=(5,), levels=(0.9,), half_widths=(((1.0,), (2.0,)),))
    outputs, options = np.zeros((2, 2), np.float32), PredictOptions(interval=0.9)
    result = answer("regression", outputs, LABELS, Schema(2, 2), calibration, options, far=[False, True])
    assert result.unlike == [False, True]
    assert result.lower is not None
    assert result.upper is not None
    np.testing.assert_array_equal(result.lower, [[-1, -2], [np.nan, np.nan]])
    np.testing.assert_array_equal(result.upper, [[1, 2], [np.nan, np.nan]])


def test_a_query_further_from_the_support_set_has_a_wider_interval_and_at_last_none() -> None:
    widths, stretch = (((1.0,), (2.0,)),), (((1.0, 3.0), (1.0, 1.0)),)
    calibration = Calibration(
        tasks=1, shots=(5,), levels=(0.9,), half_widths=widths, distances=((0.0, 2.0),), stretch=stretch
    )
    outputs, options, distances = np.zeros((3, 2), np.float32), PredictOptions(interval=0.9), [0.0, 1.0, 2.5]
    for far, unlike in ((None, [False, False, True]), ([True, False, False], [True, False, True])):
        result = answer("regression", outputs, LABELS, Schema(2, 2), calibration, options, far, distances)
        assert result.unlike == unlike
        assert result.upper is not None
        expected = np.where(np.array(unlike)[:, None], np.nan, [[1, 2], [2, 2], [3, 2]])
        np.testing.assert_array_equal(result.upper, expected)
        plain = answer("regression", outputs, LABELS, Schema(2, 2), calibration, far=far, distances=distances)
        assert plain.unlike == unlike
    unmeasured = answer("regression", outputs, LABELS, Schema(2, 2), calibration, options)
    assert unmeasured.unlike is None


NAMES = Schema(2, 3, actions=Actions(), weighing=Weighing())
BOX = Schema(2, 2, actions=Actions((-1.0, -1.0), (1.0, 1.0)), weighing=Weighing())
NUMBERS = np.array([[0.5, -3.0, 0.0, np.log(2.0)], [0.0, 0.0, -100.0, 1.0]], np.float32)


def test_an_action_is_the_most_probable_one() -> None:
    result = answer("decision", LOGITS, None, NAMES, far=[False, True, False])
    assert result.unlike == [False, True, False]
    assert np.array(result.predictions).tolist() == [0, 1, 2]
    assert result.probabilities is not None
    np.testing.assert_allclose(result.probabilities, probabilities(LOGITS, 1.0))


def test_a_box_action_is_the_mean_clipped_to_the_bounds() -> None:
    result = answer("decision", NUMBERS, None, BOX, far=[False, True])
    assert result.unlike == [False, True]
    assert np.array(result.predictions).tolist() == [[0.5, -1.0], [0.0, 0.0]]
    assert result.mean is not None
    assert result.std is not None
    assert result.mean.tolist() == [[0.5, -3.0], [0.0, 0.0]]
    np.testing.assert_allclose(result.std, [[1.0, 2.0], [1e-6, np.e]], rtol=1e-5)


def test_draws_have_the_probabilities_of_the_policy() -> None:
    logits = np.tile(np.log(np.array([[0.2, 0.5, 0.3]], np.float32)), (20_000, 1))
    drawn = answer("decision", logits, None, NAMES, options=PredictOptions(sample=True, seed=0)).predictions
    np.testing.assert_allclose(np.bincount(np.array(drawn)) / 20_000, [0.2, 0.5, 0.3], atol=0.015)


def test_draws_have_the_mean_and_the_standard_deviation_of_the_policy() -> None:
    outputs = np.tile(np.array([[0.5, -3.0, 0.0, np.log(2.0)]], np.float32), (20_000, 1))
    drawn = np.array(answer("decision", outputs, None, BOX, options=PredictOptions(sample=True, seed=0)).predictions)
    np.testing.assert_allclose(drawn.mean(0), [0.5, -3.0], atol=0.06)
    np.testing.assert_allclose(drawn.std(0), [1.0, 2.0], rtol=0.03)
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.03


@given(st.integers(0, 2**63 - 1), st.integers(1, 5), st.integers(1, 4))
def test_the_noise_of_a_row_depends_only_on_the_seed_and_its_position(seed: int, rows: int, columns: int) -> None:
    np.testing.assert_array_equal(noise(rows, columns, seed), noise(rows + 7, columns, seed)[:rows])
    assert not np.array_equal(noise(rows, columns, seed), noise(rows, columns, seed ^ 1))
    assert not np.array_equal(noise(rows, columns, None), noise(rows, columns, None))
    assert ((noise(rows, columns, seed) > 0) & (noise(rows, columns, seed) < 1)).all()
