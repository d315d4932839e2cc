import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.bundles import Bundle, load
from app.errors import Invalid
from app.learn.ood import OODReference
from app.service.cross_validation import DIVERGED, Comparison, CrossValidation, Method
from app.service.engine import Engine, Job
from app.service.model import Model
from app.service.task import Task
from service_tests.device import DEVICE


@pytest.fixture(scope="module")
def model(models_dir: Path) -> Model:
    return Model(load(models_dir / "sinusoid"), DEVICE)


def wave(size: int, seed: int = 0, steps: int = 5, rate: float = 0.01) -> Task:
    drawn = np.random.default_rng(seed)
    x = drawn.uniform(-5, 5, (size, 1)).astype(np.float32)
    return Task(x, (4 * np.sin(x - 1)).astype(np.float32), steps, rate)


def quality(model: Model, task: Task, method: Method = Method.leave_one_out) -> dict[str, Any]:
    assessment = CrossValidation(model, task, method)
    found = assessment.quality(Engine(2**28).run(assessment.jobs))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


def by_hand(model: Model, task: Task, out: np.ndarray) -> np.ndarray:
    """The errors of the examples `out`, after adapting to the others, alone."""
    rest = replace(task, inputs=task.inputs[~out], targets=task.targets[~out])
    states, _ = model.adapt([rest])
    predictions = model.predict(states, [task.inputs[out]])[0]
    return np.asarray(np.square(predictions - task.targets[out]).mean(1))


@pytest.mark.parametrize("size", [2, 3, 7])
def test_leaving_one_out_is_adapting_to_the_others(model: Model, size: int) -> None:
    task = wave(size)
    found = quality(model, task)
    expected = [by_hand(model, task, np.arange(size) == each)[0] for each in range(size)]
    np.testing.assert_allclose(found["errors"], expected, rtol=1e-5, atol=1e-5)
    assert found["error"] == pytest.approx(np.mean(expected), rel=1e-5)
    assert (found["method"], found["folds"]) == ("leave_one_out", size)


@pytest.mark.parametrize(
    ("size", "asked", "used", "folds"),
    [
        (64, Method.leave_one_out, "leave_one_out", 64),
        (65, Method.leave_one_out, "k_fold", 10),
        (23, Method.k_fold, "k_fold", 10),
        (10, Method.k_fold, "leave_one_out", 10),
        (4, Method.k_fold, "leave_one_out", 4),
    ],
)
def test_folds(model: Model, size: int, asked: Method, used: str, folds: int) -> None:
    task = wave(size)
    found = quality(model, task, asked)
    assert (found["method"], found["folds"]) == (used, folds)
    expected = np.empty(size)
    for fold in range(folds):
        out = np.arange(size) % folds == fold
        expected[out] = by_hand(model, task, out)
    np.testing.assert_allclose(found["errors"], expected, rtol=1e-4, atol=1e-5)


def test_the_untouched_error_is_that_of_the_initialization_on_the_same_examples(model: Model) -> None:
    task = wave(10)
    states, _ = model.adapt([replace(task, steps=0)])
    outputs = model.predict(states, [task.inputs])[0]
    assert quality(model, task)["initial_error"] == pytest.approx(np.square(outputs - task.targets).mean(), rel=1e-5)


def test_ten_examples_are_twelve_jobs_with_the_adaptations_own(model: Model) -> None:
    assert len(CrossValidation(model, wave(10), Method.leave_one_out).jobs) == 11


def test_a_wave_is_fitted_and_looks_like_training(model: Model) -> None:
    found = quality(model, wave(10, seed=2))
    assert found["helped"] is True
    assert found["unlike_training"] is False
    errors = found["errors"]
    worst = found["worst_example"]
    assert found["message"] == (
        f"Adapting helps: the error on examples left out falls from {found['initial_error']:.3g} to "
        f"{found['error']:.3g}. Example {worst} fits worst (error {max(errors):.3g}). "
        "The support set looks like what the model was trained on."
    )


@pytest.mark.parametrize("corrupted", [0, 4, 9])
def test_the_corrupted_example_fits_worst(model: Model, corrupted: int) -> None:
    task = wave(10)
    task.targets[corrupted] += 8
    found = quality(model, task)
    assert found["worst_example"] == corrupted
    assert f"Example {corrupted} fits worst" in found["message"]


def test_adapting_has_not_helped_where_the_initialization_is_better(model: Model) -> None:
    """The targets are its own predictions with noise: there is nothing to learn."""
    task = wave(40, steps=20)
    states, _ = model.adapt([replace(task, steps=0)])
    noise = np.random.default_rng(0).normal(0, 0.5, (40, 1)).astype(np.float32)
    found = quality(model, replace(task, targets=model.predict(states, [task.inputs])[0] + noise))
    assert found["error"] > found["initial_error"]
    assert found["helped"] is not True
    assert "Adapting helps" not in found["message"]


def test_four_examples_are_too_few_to_tell(model: Model) -> None:
    found = quality(model, wave(4))
    assert found["error"] < found["initial_error"]
    assert found["helped"] is None
    assert found["message"].startswith("Adapting seems to help: the error on examples left out falls from ")
    assert "4 cases are too few to tell" in found["message"]


def test_no_step_changes_nothing(model: Model) -> None:
    found = quality(model, wave(10, steps=0))
    assert found["error"] == found["initial_error"]
    assert found["helped"] is False
    assert "changes nothing" in found["message"]


def test_likeness_is_of_the_support_set_and_not_of_the_settings(model: Model) -> None:
    """Without a step every error is large; the support set is still one of training's."""
    assert quality(model, wave(10, steps=0))["unlike_training"] is False
    assert quality(model, wave(10, rate=1e-4))["unlike_training"] is False


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda task: replace(task, inputs=task.inputs + 20), "inputs lie beyond those of training"),
        (lambda task: replace(task, targets=task.targets * 12), "the error on examples left out is larger"),
    ],
)
def test_a_support_set_unlike_training(model: Model, change: Callable[[Task], Task], reason: str) -> None:
    found = quality(model, change(wave(10)))
    assert found["unlike_training"] is True
    assert reason in found["message"]


def test_without_a_calibration_nothing_is_said_of_likeness(model: Model) -> None:
    bundle = model.bundle
    bare = Bundle(bundle.name, replace(bundle.manifest, ood_reference=OODReference()), bundle.meta)
    found = quality(Model(bare, DEVICE), wave(10))
    assert found["unlike_training"] is None
    assert "support set" not in found["message"]


def test_an_example_without_which_the_inner_loop_diverges_has_no_error(model: Model) -> None:
    task = wave(10)
    assessment = CrossValidation(model, task, Method.leave_one_out)
    results = Engine(2**28).run(assessment.jobs)
    results[1 + 3] = results[1 + 3]._replace(predictions=None)
    found = assessment.quality(results)
    errors = found["errors"]
    assert errors[3] is None
    others = np.arange(10) != 3
    assert found["error"] == pytest.approx(np.mean([errors[each] for each in np.flatnonzero(others)]))
    assert found["message"].startswith("In 1 of 10 folds the inner loop diverged: the errors there are unknown")
    assert json.dumps(found, allow_nan=False)


def test_a_support_set_on_which_every_fold_diverges(model: Model) -> None:
    task = wave(5)
    wild = replace(task, inputs=task.inputs * 1e4, targets=task.targets * 1e4, steps=100, learning_rate=0.016)
    found = quality(model, wild)
    assert found["errors"] == [None] * 5
    assert (found["error"], found["helped"], found["worst_example"]) == (None, None, None)
    assert found["unlike_training"] is True
    assert "In 5 of 5 folds" in found["message"]
    assert "cannot be told" in found["message"]


def test_numbers_that_overflow_float32_when_squared_are_errors_all_the_same(model: Model) -> None:
    task = wave(5, steps=0)
    found = quality(model, replace(task, targets=task.targets * np.float32(1e25)))
    assert found["error"] == pytest.approx(found["initial_error"])


def test_one_example_cannot_be_left_out(model: Model) -> None:
    with pytest.raises(Invalid, match="2 examples at least"):
        CrossValidation(model, wave(1), Method.leave_one_out)


def test_read_only_arrays_will_do(model: Model) -> None:
    task = wave(5)
    task.inputs.setflags(write=False)
    task.targets.setflags(write=False)
    assert quality(model, task)["folds"] == 5


def test_assessing_does_not_change_the_adaptation(model: Model) -> None:
    """Promise 2: the adaptation's own job among those that assess it."""
    task = wave(10)
    own = Job(model, "own", task, task.inputs)
    alone = Engine(2**28).run([own])[0].predictions
    among = Engine(2**28).run([own, *CrossValidation(model, task, Method.leave_one_out).jobs])[0].predictions
    assert alone is not None
    assert among is not None
    np.testing.assert_allclose(alone, among, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("before", "after", "gains", "helped"),
    [
        (2.0, 1.0, [1.0] * 5, True),
        (2.0, 1.0, [1.0] * 4, None),
        (2.0, 1.9, [1.0] * 9 + [-8.0], True),
        (2.0, 1.9, [1.0] * 7 + [-2.0] * 3, None),
        (2.0, 2.1, [0.1] * 9 + [-2.0], None),  # mean and test disagree
        (1.0, 2.0, [-1.0] * 5, False),
        (1.0, 2.0, [-1.0] * 3, None),
        (1.0, 1.0, [0.0] * 3, False),
        (2.0, 1.0, [1.0] * 9 + [DIVERGED], True),
        (2.0, 1.0, [1.0] * 5 + [DIVERGED], None),
        (None, None, [DIVERGED] * 5, None),
    ],
)
def test_helped(before: float | None, after: float | None, gains: list[float], helped: bool | None) -> None:
    assert Comparison(before, after, gains).helped is helped


def clusters(*sizes: int) -> Task:
    """So many examples of each class around its point, class by class."""
    drawn = np.random.default_rng(0)
    points = [[5.0 * way, 5.0 * (way % 2)] for way, size in enumerate(sizes) for _ in range(size)]
    labels = [f"class {way}" for way, size in enumerate(sizes) for _ in range(size)]
    inputs = np.array(points) + drawn.normal(size=(len(points), 2))
    return Task(inputs.astype(np.float32), np.array(labels, object), 1, 0.1)


@pytest.fixture(scope="module")
def classifier(classifiers: Path) -> Model:
    return Model(load(classifiers / "blobs"), DEVICE)


def test_labels_left_out_are_told_by_an_adaptation_to_the_others(classifier: Model) -> None:
    task = clusters(2, 3, 2)
    found = quality(classifier, task)
    hits = []
    for each in range(7):
        out = np.arange(7) == each
        rest = replace(task, inputs=task.inputs[~out], targets=task.targets[~out])
        (result,) = Engine(2**28).run([Job(classifier, object(), rest, task.inputs[out])])
        assert result.predictions is not None
        logits = torch.from_numpy(result.predictions[0])
        of = rest.classes.index(task.targets[each])
        assert found["errors"][each] == pytest.approx(-logits.log_softmax(0)[of].item(), rel=1e-4, abs=1e-5)
        hits.append(rest.classes[int(logits.argmax())] == task.targets[each])
    assert found["accuracy"] == pytest.approx(np.mean(hits))
    assert found["initial_error"] == pytest.approx(np.log(3))
    assert (found["method"], found["folds"]) == ("leave_one_out", 7)


@pytest.mark.parametrize("sizes", [(2, 2), (30, 2), (10, 10, 10), (3, 40, 2, 1, 25)])
def test_no_fold_takes_a_class_away(classifier: Model, sizes: tuple[int, ...]) -> None:
    task = clusters(*sizes)
    assessment = CrossValidation(classifier, task, Method.k_fold)
    for job in assessment.jobs:
        assert job.task is not None
        assert set(job.task.classes) == set(task.classes)
    found = quality(classifier, task, Method.k_fold)
    assert found["folds"] == min(10, sum(size for size in sizes if size > 1))
    unknown = [error is None for error in found["errors"]]
    assert unknown == [size == 1 for size in sizes for _ in range(size)]


def test_classes_of_one_example_each_cannot_be_assessed(classifier: Model) -> None:
    with pytest.raises(Invalid, match="2 examples of a class at least: one to leave out at support"):
        CrossValidation(classifier, clusters(1, 1, 1), Method.leave_one_out)
