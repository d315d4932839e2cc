"""A task alone as one program: the same numbers as eager, at every size, and results that stay."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from app.bundles.folder import load
from app.learn.inner import Schedule, adapt, batch_of_one, with_packed_state
from app.learn.pytrees import leaves
from app.service.compiled.compile_models import compile_single
from app.service.compiled.program import Program, Recording
from app.service.compiled.single_task import RECORDINGS, SingleTask
from app.service.model import Model
from app.service.task import Task
from service_tests.benchmarks.images import SIDE, Images, install, write_bundle

pytestmark = pytest.mark.compiled
CPU = torch.device("cpu")


def task(shots: int, seed: int, rate: float = 0.01, features: int = 1) -> Task:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (shots, features)).astype(np.float32)
    return Task(x, np.sin(5 * x[:, :1]), 5, rate)


def single_of(model: Model) -> SingleTask:
    with torch.no_grad():
        return SingleTask(model.bundle, model.meta, model.initial_state, steps=5)


@pytest.fixture(scope="module")
def eager(models_dir: Path) -> Model:
    return Model(load(models_dir / "sinusoid"), CPU)


@pytest.fixture(scope="module")
def single(eager: Model) -> SingleTask:
    return single_of(eager)


@pytest.mark.parametrize("shots", [2, 3, 5, 10, 16, 17, 64, 100])
def test_it_gives_what_eager_gives(single: SingleTask, eager: Model, shots: int) -> None:
    """Twice with other numbers, so that the second call is of a recording."""
    for seed, rate in ((1, 0.01), (2, 0.003)):
        one = task(shots, seed, rate)
        state, losses = single(one)
        states, (adapted,) = eager.adapt([one])
        torch.testing.assert_close(state, states, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(losses, adapted.losses, rtol=1e-4, atol=1e-5)


def test_a_state_stays_when_others_are_adapted(single: SingleTask) -> None:
    state, _ = single(task(10, seed=1))
    before = state.clone()
    single(task(10, seed=2))
    assert torch.equal(state, before)
    assert torch.equal(single(task(10, seed=1))[0], before)


def test_more_sizes_than_have_buffers_are_served(single: SingleTask, eager: Model) -> None:
    for shots in range(2, RECORDINGS + 6):
        one = task(shots, seed=shots)
        torch.testing.assert_close(single(one)[0], eager.adapt([one])[0], rtol=1e-5, atol=1e-5)


def test_an_array_that_cannot_be_written_is_taken(single: SingleTask, eager: Model) -> None:
    """Those of a store are such."""
    one = task(5, seed=3)
    one.inputs.flags.writeable = False
    torch.testing.assert_close(single(one)[0], eager.adapt([task(5, seed=3)])[0], rtol=1e-5, atol=1e-5)


@pytest.fixture
def convolutional(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.syspath_prepend(install(tmp_path / "site")["PYTHONPATH"])
    write_bundle(tmp_path / "images")
    return Model(load(tmp_path / "images"), CPU)


def test_convolutions_are_not_recorded_and_right_all_the_same(convolutional: Model) -> None:
    single = single_of(convolutional)
    for seed in (1, 2):
        one = task(5, seed, features=Images.features)
        torch.testing.assert_close(single(one)[0], convolutional.adapt([one])[0], rtol=1e-4, atol=1e-5)
    assert Images.features == SIDE * SIDE


def record_calls(model: Model, max_singles: int) -> list[int]:
    """Let the model adapt so many tasks one after another; the list gets the examples of each task that it does."""
    calls: list[int] = []
    single = model.functions.single
    assert single is not None

    def recorded(one: Task) -> tuple[Tensor, list[float]]:
        calls.append(len(one.inputs))
        return single(one)

    model.functions = replace(model.functions, single=recorded, max_singles=max_singles)
    return calls


def test_a_model_serves_with_it_for_the_default_steps_alone(models_dir: Path) -> None:
    model = Model(load(models_dir / "sinusoid"), CPU)
    model.functions = compile_single(model)
    calls = record_calls(model, max_singles=1)
    model.adapt([task(10, seed=1)])
    model.adapt([task(1, seed=1)])
    model.adapt([task(10, seed=1), task(10, seed=2)])
    x = task(10, seed=1)
    model.adapt([Task(x.inputs, x.targets, 4, 0.01)])
    assert calls == [10]


def test_a_few_tasks_are_adapted_one_after_another(models_dir: Path, eager: Model) -> None:
    model = Model(load(models_dir / "sinusoid"), CPU)
    model.functions = compile_single(model)
    assert model.functions.max_singles >= 1
    calls = record_calls(model, max_singles=3)
    tasks = [task(10, seed=1), task(7, seed=2), task(10, seed=3, rate=0.003), task(4, seed=4)]
    for count in (1, 2, 3):
        states, outcomes = model.adapt(tasks[:count])
        expected_states, expected_outcomes = eager.adapt(tasks[:count])
        torch.testing.assert_close(states, expected_states[:count], rtol=1e-5, atol=1e-5)
        for outcome, expected in zip(outcomes, expected_outcomes, strict=True):
            np.testing.assert_allclose(outcome.losses, expected.losses, rtol=1e-4, atol=1e-5)
    assert calls == [10, 10, 7, 10, 7, 10]
    model.adapt(tasks)
    model.adapt([task(10, seed=1), task(1, seed=2)])
    assert len(calls) == 6, "more tasks share a call, and so do tasks that it does not take"


def test_only_programs_of_c_functions_are_recorded() -> None:
    with torch.no_grad():
        product = Program(lambda a, b: a @ b, (torch.ones(7, 3), torch.ones(3, 200)), (1, 0), {})
    with pytest.raises(TypeError, match="C functions alone"):
        Recording(product.run, [torch.ones(5, 3), torch.ones(3, 200)])
    with pytest.raises(TypeError, match="Inductor"):
        Recording(lambda given: given, [torch.ones(5, 3)])


def test_a_recording_runs_on_what_its_arguments_hold_by_then() -> None:
    program = Program(lambda x: {"sum": x.tanh().sum(-1)}, (torch.ones(7, 3),), (1,), {})
    x = torch.zeros(5, 3)
    recording = Recording(program.run, leaves([x]))
    x.fill_(2.0)
    torch.testing.assert_close(recording()[0], x.tanh().sum(-1))


def test_the_program_is_the_inner_loop(single: SingleTask, eager: Model) -> None:
    """Against `adapt` itself, without the service around it."""
    inner = batch_of_one(eager.bundle.inner_loop())
    loop, _ = with_packed_state(inner, inner.init(eager.meta))
    one = task(10, seed=5)
    support = eager._batch([one], min_size=1)[0]
    with torch.no_grad():
        states, losses = adapt(loop, eager.meta, support, Schedule(torch.tensor([0.01]), torch.tensor([5]), 5))
    state, single_losses = single(one)
    torch.testing.assert_close(state, states, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(torch.tensor([single_losses]), losses, rtol=1e-4, atol=1e-5)
