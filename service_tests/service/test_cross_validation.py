import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.bundles.folder import load
from app.errors import Invalid
from app.learn.support_ood import OODReference
from app.learn.target_scale import TargetScale, TargetSpec
from app.service.cross_validation import DIVERGED, Comparison, CrossValidation, Method
from app.service.engine import Engine
from app.service.job import Job
from app.service.model import Model
from app.service.task import Task
from service_tests.device import DEVICE


@pytest.fixture(scope="module")
def model(models_dir: Path) -> Model:
    return Model(load(models_dir / "sinusoid"), DEVICE)


def wave(size: int, seed: int = 0, steps: int = 5, rate: float = 0.01) -> Task:
    generator = np.random.default_rng(seed)
    x = generator.uniform(-5, 5, (size, 1)).astype(np.float32)
    return Task(x, (4 * np.sin(x - 1)).astype(np.float32), steps, rate)


def assess(model: Model, task: Task, method: Method = Method.leave_one_out) -> dict[str, Any]:
    cross_validation = CrossValidation(model, task, method)
    quality = cross_validation.quality(Engine(2**28).run(cross_validation.jobs))
    assert json.loads(json.dumps(quality, allow_nan=False)) == quality
    return quality


def errors_by_hand(model: Model, task: Task, out: np.ndarray) -> np.ndarray:
    """The errors of the examples `out` after adapting to the other examples, without the engine."""
    rest = replace(task, inputs=task.inputs[~out], targets=task.targets[~out])
    states, _ = model.adapt([rest])
    predictions = model.predict(states, [task.inputs[out]])[0]
    return np.asarray(np.square(predictions - task.targets[out]).mean(1))


@pytest.mark.parametrize("size", [2, 3, 7])
def test_leaving_one_out_equals_adapting_to_the_others(model: Model, size: int) -> None:
    task = wave(size)
    quality = assess(model, task)
    expected = [errors_by_hand(model, task, np.arange(size) == each)[0] for each in range(size)]
    np.testing.assert_allclose(quality["errors"], expected, rtol=1e-5, atol=1e-5)
    assert quality["error"] == pytest.approx(np.mean(expected), rel=1e-5)
    assert (quality["method"], quality["folds"]) == ("leave_one_out", size)


@pytest.mark.parametrize(
    ("size", "method", "used_method", "folds"),
    [
        (64, Method.leave_one_out, "leave_one_out", 64),
        (65, Method.leave_one_out, "k_fold", 10),
        (23, Method.k_fold, "k_fold", 10),
        (10, Method.k_fold, "leave_one_out", 10),
        (4, Method.k_fold, "leave_one_out", 4),
    ],
)
def test_the_method_and_the_folds_depend_on_the_number_of_examples(
    model: Model, size: int, method: Method, used_method: str, folds: int
) -> None:
    task = wave(size)
    quality = assess(model, task, method)
    assert (quality["method"], quality["folds"]) == (used_method, folds)
    expected = np.empty(size)
    for fold in range(folds):
        out = np.arange(size) % folds == fold
        expected[out] = errors_by_hand(model, task, out)
    np.testing.assert_allclose(quality["errors"], expected, rtol=1e-4, atol=1e-5)


def test_the_initial_error_is_measured_on_the_same_examples(model: Model) -> None:
    task = wave(10)
    states, _ = model.adapt([replace(task, steps=0)])
    outputs = model.predict(states, [task.inputs])[0]
    assert assess(model, task)["initial_error"] == pytest.approx(np.square(outputs - task.targets).mean(), rel=1e-5)


def test_assessing_ten_examples_takes_eleven_jobs(model: Model) -> None:
    assert len(CrossValidation(model, wave(10), Method.leave_one_out).jobs) == 11


def test_adapting_to_a_wave_helps_and_the_wave_is_like_training(model: Model) -> None:
    quality = assess(model, wave(10, seed=2))
    assert quality["helped"] is True
    assert quality["unlike_training"] is False
    errors = quality["errors"]
    worst = quality["worst_example"]
    assert quality["message"] == (
        f"Adapting helps: the error on examples left out falls from {quality['initial_error']:.3g} to "
        f"{quality['error']:.3g}. Example {worst} fits worst (error {max(errors):.3g}). "
        "The support set looks like what the model was trained on."
    )


@pytest.mark.parametrize("corrupted", [0, 4, 9])
def test_the_corrupted_example_fits_worst(model: Model, corrupted: int) -> None:
    task = wave(10)
    task.targets[corrupted] += 8
    quality = assess(model, task)
    assert quality["worst_example"] == corrupted
    assert f"Example {corrupted} fits worst" in quality["message"]


def test_adapting_has_not_helped_if_the_initialization_is_better(model: Model) -> None:
    """The targets are predictions of the initialization with noise: there is nothing to learn."""
    task = wave(40, steps=20)
    states, _ = model.adapt([replace(task, steps=0)])
    noise = np.random.default_rng(0).normal(0, 0.5, (40, 1)).astype(np.float32)
    quality = assess(model, replace(task, targets=model.predict(states, [task.inputs])[0] + noise))
    assert quality["error"] > quality["initial_error"]
    assert quality["helped"] is not True
    assert "Adapting helps" not in quality["message"]


def test_four_examples_are_too_few_to_tell(model: Model) -> None:
    quality = assess(model, wave(4))
    assert quality["error"] < quality["initial_error"]
    assert quality["helped"] is None
    assert quality["message"].startswith("Adapting seems to help: the error on examples left out falls from ")
    assert "4 cases are too few to tell" in quality["message"]


def test_zero_steps_change_nothing(model: Model) -> None:
    quality = assess(model, wave(10, steps=0))
    assert quality["error"] == quality["initial_error"]
    assert quality["helped"] is False
    assert "changes nothing" in quality["message"]


def test_unlike_training_depends_on_the_support_set_and_not_on_the_settings(model: Model) -> None:
    """Without a step every error is large, but the support set still looks like those of training."""
    assert assess(model, wave(10, steps=0))["unlike_training"] is False
    assert assess(model, wave(10, rate=1e-4))["unlike_training"] is False


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda task: replace(task, inputs=task.inputs + 20), "inputs lie outside of the range of training"),
        (lambda task: replace(task, targets=task.targets * 12), "the error on examples left out is larger"),
    ],
)
def test_a_support_set_unlike_training_is_flagged_with_the_reason(
    model: Model, change: Callable[[Task], Task], reason: str
) -> None:
    quality = assess(model, change(wave(10)))
    assert quality["unlike_training"] is True
    assert reason in quality["message"]


def test_without_an_ood_reference_unlike_training_is_unknown(model: Model) -> None:
    bundle = model.bundle
    bare = replace(bundle, manifest=replace(bundle.manifest, ood_reference=OODReference()))
    quality = assess(Model(bare, DEVICE), wave(10))
    assert quality["unlike_training"] is None
    assert "support set" not in quality["message"]


def test_an_example_whose_fold_diverges_has_no_error(model: Model) -> None:
    task = wave(10)
    cross_validation = CrossValidation(model, task, Method.leave_one_out)
    results = Engine(2**28).run(cross_validation.jobs)
    results[1 + 3] = results[1 + 3]._replace(predictions=None)
    quality = cross_validation.quality(results)
    errors = quality["errors"]
    assert errors[3] is None
    others = np.arange(10) != 3
    assert quality["error"] == pytest.approx(np.mean([errors[each] for each in np.flatnonzero(others)]))
    assert quality["message"].startswith("The inner loop diverged in 1 of 10 folds: their errors are unknown")
    assert json.dumps(quality, allow_nan=False)


def test_if_every_fold_diverges_there_are_no_errors(model: Model) -> None:
    task = wave(5)
    wild = replace(task, inputs=task.inputs * 1e4, targets=task.targets * 1e4, steps=100, learning_rate=0.016)
    quality = assess(model, wild)
    assert quality["errors"] == [None] * 5
    assert (quality["error"], quality["helped"], quality["worst_example"]) == (None, None, None)
    assert quality["unlike_training"] is True
    assert "in 5 of 5 folds" in quality["message"]
    assert "It is unknown whether adapting helps." in quality["message"]


def test_errors_whose_squares_overflow_float32_are_computed(model: Model) -> None:
    task = wave(5, steps=0)
    quality = assess(model, replace(task, targets=task.targets * np.float32(1e25)))
    assert quality["error"] == pytest.approx(quality["initial_error"])


def test_one_example_alone_cannot_be_assessed(model: Model) -> None:
    with pytest.raises(Invalid, match="at least 2 examples to assess"):
        CrossValidation(model, wave(1), Method.leave_one_out)
    assert assess(model, wave(2))["folds"] == 2


def test_read_only_arrays_are_accepted(model: Model) -> None:
    task = wave(5)
    task.inputs.setflags(write=False)
    task.targets.setflags(write=False)
    assert assess(model, task)["folds"] == 5


def test_assessing_does_not_change_the_adaptation(model: Model) -> None:
    """Promise 2: the adaptation's own job gives the same predictions alone and among the jobs that assess it."""
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
def test_helped_is_yes_no_or_unknown(
    before: float | None, after: float | None, gains: list[float], helped: bool | None
) -> None:
    assert Comparison(before, after, gains).helped is helped


@pytest.mark.parametrize(
    ("before", "after", "gains", "sentence"),
    [
        (None, 1.0, [DIVERGED], "It is unknown whether adapting helps."),
        (1.0, None, [DIVERGED], "It is unknown whether adapting helps."),
        (2.0, 1.0, [0.5] * 5, "Adapting helps: the error on examples left out falls from 2 to 1."),
        (1.0, 2.0, [-0.5] * 5, "Adapting does not help: the error on examples left out rises from 1 to 2."),
        (1.0, 1.0, [0.0] * 3, "Adapting changes nothing: the error on examples left out stays 1."),
        (
            2.0,
            1.0,
            [0.5] * 3 + [-0.25],
            "Adapting seems to help: the error on examples left out falls from 2 to 1, and is lower in 3 of 4 cases. "
            "4 cases are too few to tell.",
        ),
        (
            2.0,
            2.125,
            [0.5] * 3 + [-2.0] * 2,
            "Adapting seems not to help: the error on examples left out rises from 2 to 2.12, and is lower in 3 of 5 "
            "cases. The difference is not significant.",
        ),
    ],
)
def test_the_comparison_in_words(before: float | None, after: float | None, gains: list[float], sentence: str) -> None:
    assert Comparison(before, after, gains).sentence == sentence


def clusters(*sizes: int) -> Task:
    """A task with these numbers of examples, class by class, each class around a point of its own."""
    generator = np.random.default_rng(0)
    points = [[5.0 * way, 5.0 * (way % 2)] for way, size in enumerate(sizes) for _ in range(size)]
    labels = [f"class {way}" for way, size in enumerate(sizes) for _ in range(size)]
    inputs = np.array(points) + generator.normal(size=(len(points), 2))
    return Task(inputs.astype(np.float32), np.array(labels, object), 1, 0.1)


@pytest.fixture(scope="module")
def classifier(classifiers: Path) -> Model:
    return Model(load(classifiers / "blobs"), DEVICE)


def test_left_out_labels_are_predicted_after_adapting_to_the_others(classifier: Model) -> None:
    task = clusters(2, 3, 2)
    quality = assess(classifier, task)
    correct = []
    for each in range(7):
        out = np.arange(7) == each
        rest = replace(task, inputs=task.inputs[~out], targets=task.targets[~out])
        (result,) = Engine(2**28).run([Job(classifier, object(), rest, task.inputs[out])])
        assert result.predictions is not None
        logits = torch.from_numpy(result.predictions[0])
        label_index = rest.classes.index(task.targets[each])
        assert quality["errors"][each] == pytest.approx(-logits.log_softmax(0)[label_index].item(), rel=1e-4, abs=1e-5)
        correct.append(rest.classes[int(logits.argmax())] == task.targets[each])
    assert quality["accuracy"] == pytest.approx(np.mean(correct))
    assert quality["initial_error"] == pytest.approx(np.log(3))
    assert (quality["method"], quality["folds"]) == ("leave_one_out", 7)


@pytest.mark.parametrize("sizes", [(2, 2), (30, 2), (10, 10, 10), (3, 40, 2, 1, 25)])
def test_every_fold_keeps_all_classes(classifier: Model, sizes: tuple[int, ...]) -> None:
    task = clusters(*sizes)
    cross_validation = CrossValidation(classifier, task, Method.k_fold)
    for job in cross_validation.jobs:
        assert job.task is not None
        assert set(job.task.classes) == set(task.classes)
    quality = assess(classifier, task, Method.k_fold)
    assert quality["folds"] == min(10, sum(size for size in sizes if size > 1))
    unknown = [error is None for error in quality["errors"]]
    assert unknown == [size == 1 for size in sizes for _ in range(size)]


def test_classes_of_one_example_each_cannot_be_assessed(classifier: Model) -> None:
    with pytest.raises(Invalid, match="support: expected at least 2 examples of one class to assess, got 1 of"):
        CrossValidation(classifier, clusters(1, 1, 1), Method.leave_one_out)


@pytest.mark.parametrize(("mean", "std"), [(600.0, 170.0), (0.0, 1e-6), (1e5, 1.0)])
def test_what_helps_does_not_depend_on_the_units(model: Model, mean: float, std: float) -> None:
    manifest = replace(model.bundle.manifest, targets=TargetSpec(scale=TargetScale((mean,), (std,))))
    scaled = Model(
        replace(model.bundle, manifest=replace(manifest, initial_loss=manifest.initial_loss * std**2)), DEVICE
    )
    for task in (wave(10), replace(wave(10), steps=0)):
        in_units = replace(task, targets=(task.targets.astype(np.float64) * std + mean).astype(np.float32))
        expected, quality = assess(model, task), assess(scaled, in_units)
        assert quality["helped"] == expected["helped"]
        assert quality["error"] == pytest.approx(expected["error"] * std**2, rel=0.02)
