"""Tasks whose examples have weights: eager and compiled, alone and beside others, and in cross-validation."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.bundles.folder import load
from app.learn.support_ood import OODReference, OODStatus
from app.service.compiled.compile_models import compile_single, compile_steps, compile_unrolled
from app.service.cross_validation import CrossValidation, Method
from app.service.engine import Engine
from app.service.job import Job
from app.service.model import Model
from app.service.support_set import SupportSet
from app.service.task import Task
from service_tests.device import DEVICE
from service_tests.service.test_every_algorithm import ROWS, model_of

WEIGHTS = np.array([1, 0, 2, 1, 2, 1], np.float32)
COPIES = [0, 2, 2, 3, 4, 4, 5]
"""The examples that amount to `WEIGHTS`."""


def support(model: Model, labels: bool, seed: int = 0) -> SupportSet:
    rng = np.random.default_rng(seed)
    schema = model.bundle.manifest.schema
    inputs = rng.normal(size=(len(WEIGHTS), schema.features)).astype(np.float32)
    numbers = rng.normal(size=(len(WEIGHTS), schema.targets)).astype(np.float32)
    targets = np.array([f"class {index % 3}" for index in range(len(WEIGHTS))], object)
    return SupportSet(inputs, targets if labels else numbers)


def weighted_and_copied(model: Model, labels: bool = False, seed: int = 0) -> tuple[Task, Task]:
    posted, bounds = support(model, labels, seed), model.bundle.manifest.inner_loop
    copies = SupportSet(posted.inputs[COPIES], posted.targets[COPIES])
    both = posted._replace(weights=WEIGHTS), copies
    one, two = (each.task(bounds.steps, bounds.learning_rate) for each in both)
    return one, two


def check_same(model: Model, one: Task, two: Task, tolerance: float = 1e-5) -> None:
    """The same losses and answers for two tasks, each adapted to alone."""
    model = model.for_task(two)
    queries = np.random.default_rng(9).normal(size=(5, one.inputs.shape[1])).astype(np.float32)
    (states, (first,)), (others, (second,)) = model.adapt([one]), model.adapt([two])
    np.testing.assert_allclose(first.losses, second.losses, rtol=tolerance, atol=tolerance)
    (answer,), (expected,) = model.predict(states, [queries]), model.predict(others, [queries])
    np.testing.assert_allclose(answer, expected, rtol=tolerance, atol=tolerance)


def test_what_does_not_count_is_not_in_the_task() -> None:
    targets = np.array(["a", "b", "a"], object)
    posted = SupportSet(np.zeros((3, 1), np.float32), targets, weights=np.array([1, 0, 1], np.float32))
    task = posted.task(1, 0.1)
    assert (len(task.inputs), task.weights, task.classes, task.rows, task.size) == (2, None, ("a",), 2, 2)
    task = posted._replace(weights=np.array([0, 0.5, 2], np.float32)).task(1, 0.1)
    assert task.weights is not None
    assert (task.weights.tolist(), task.size, task.classes) == ([0.5, 2], 2.5, ("b", "a"))


@pytest.mark.parametrize(("name", "kind"), ROWS)
def test_weights_equal_copies_in_every_algorithm(tmp_path: Path, name: str, kind: str) -> None:
    model = model_of(tmp_path, name, kind)
    check_same(model, *weighted_and_copied(model, kind == "classification"))


@pytest.mark.compiled
@pytest.mark.parametrize("name", ["sinusoid", "sinusoid-bayes"])
def test_weights_equal_copies_where_the_model_is_compiled(models_dir: Path, name: str) -> None:
    model = Model(load(models_dir / name), DEVICE)
    for stage in (compile_steps, compile_unrolled, compile_single):
        model.functions = stage(model)
    assert model.compiled
    check_same(model, *weighted_and_copied(model), tolerance=1e-4)


@pytest.fixture(scope="module")
def model(models_dir: Path) -> Model:
    return Model(load(models_dir / "sinusoid"), DEVICE)


def test_others_in_a_batch_change_no_bit(model: Model) -> None:
    """A task without weights runs as before beside tasks that have some."""
    engine = Engine(2**28)
    queries = np.ones((1, 1), np.float32)
    pairs = [weighted_and_copied(model, seed=seed) for seed in range(3)]
    plain = [Job(model, object(), copies, queries) for _, copies in pairs]
    expected = engine.run(plain)
    fresh = [Job(model, object(), task, queries) for pair in pairs for task in pair]
    results = engine.run(fresh)
    for index, result in enumerate(expected):
        weighted, copies = results[2 * index], results[2 * index + 1]
        assert copies.adapted == result.adapted
        assert weighted.predictions is not None
        assert result.predictions is not None
        np.testing.assert_allclose(weighted.predictions, result.predictions, rtol=1e-5, atol=1e-5)


def test_one_call_takes_tasks_with_and_without_weights(model: Model) -> None:
    pairs = [weighted_and_copied(model, seed=seed) for seed in range(3)]
    tasks = [task for pair in pairs for task in pair]
    states, outcomes = model.adapt(tasks)
    for index in range(0, 6, 2):
        np.testing.assert_allclose(outcomes[index].losses, outcomes[index + 1].losses, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(states[index].cpu(), states[index + 1].cpu(), rtol=1e-4, atol=1e-4)


def test_a_walk_gives_the_weighted_losses(model: Model) -> None:
    one, two = weighted_and_copied(model)
    np.testing.assert_allclose(list(model.walk(one)), list(model.walk(two)), rtol=1e-5, atol=1e-5)


def test_an_example_of_weight_0_has_no_price(model: Model) -> None:
    """A weight of 2 has the price of one example, as it is one row."""
    task, _ = weighted_and_copied(model)
    rest = replace(task, weights=None)
    assert Job(model, object(), task).price == Job(model, object(), rest).price
    assert Job(model, object(), task).bytes == Job(model, object(), rest).bytes + 5 * 4


def test_declared_classes_have_a_price_and_an_answer(tmp_path: Path) -> None:
    model = model_of(tmp_path, "maml", "classification")
    posted = support(model, labels=True)
    few = posted.task(3, 0.01)
    more = posted._replace(labels=("class 2", "new", "class 0", "class 1", "newer")).task(3, 0.01)
    assert (more.classes[:2], more.classes_with_examples, few.classes_with_examples) == (("class 2", "new"), 3, 3)
    queries = np.ones((2, posted.inputs.shape[1]), np.float32)
    answers = [
        result.predictions for result in Engine(2**28).run([Job(model, object(), t, queries) for t in (few, more)])
    ]
    assert [answer.shape[1] for answer in answers if answer is not None] == [3, 5]
    embedding = model_of(tmp_path / "ridge", "ridge", "classification")
    prices = [Job(embedding, object(), task, queries).price for task in (few, more)]
    assert prices[0] < prices[1]


def test_cross_validation_counts_errors_by_weight(model: Model) -> None:
    task = support(model, labels=False)._replace(weights=WEIGHTS).task(5, 0.01)
    validation = CrossValidation(model, task, Method.leave_one_out, WEIGHTS)
    quality = validation.quality(Engine(2**28).run(validation.jobs))
    errors = np.array([np.nan if error is None else error for error in quality["errors"]])
    assert np.isnan(errors).tolist() == [False, True, False, False, False, False]
    assert quality["error"] == pytest.approx(np.nansum(errors * WEIGHTS) / WEIGHTS.sum())
    assert quality["worst_example"] == np.nanargmax(errors)
    assert quality["folds"] == 5
    assert quality["message"].startswith("1 example has the weight 0: its error is unknown.")
    rest = replace(task, inputs=task.inputs[1:], targets=task.targets[1:], weights=task.weights[1:])  # type: ignore[index]
    states, _ = model.adapt([rest])
    (prediction,) = model.predict(states, [task.inputs[:1]])
    assert errors[0] == pytest.approx(float(np.square(prediction - task.targets[:1]).mean()), rel=1e-4)


def test_the_ood_reference_sees_weights() -> None:
    import torch

    reference = OODReference(1, 0, (0.0,), (1.0,), 2.0, (1, 5), (9.0, 1.0))
    inputs, errors = torch.tensor([[0.0], [1.0]]), torch.tensor([0.0, 3.0])
    assert reference.compare(inputs, errors, 5) is OODStatus.large_error
    assert reference.compare(inputs, errors, 4.5) is OODStatus.like
    assert reference.compare(inputs, errors, 5, torch.tensor([9.0, 1.0]).double()) is OODStatus.like
    far = torch.tensor([[0.0], [3.0]])
    assert reference.compare(far, errors, 1, torch.tensor([1.0, 1.0]).double()) is OODStatus.far_inputs
    assert reference.compare(far, errors, 1, torch.tensor([1000.0, 1.0]).double()) is OODStatus.like
