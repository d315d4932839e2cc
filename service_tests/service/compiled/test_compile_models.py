"""The compiled inner loop: the same numbers as eager, and no compilation after the first."""

import logging
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.bundles.folder import load
from app.service.compiled.compile_models import (
    compile_all,
    compile_look_up,
    compile_single,
    compile_steps,
    compile_unrolled,
)
from app.service.health import Health
from app.service.model import Model
from app.service.serving_functions import ServingFunctions
from app.service.task import Task
from service_tests.device import DEVICE


def task(shots: int, steps: int, seed: int, rate: float = 0.01) -> Task:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-5, 5, (shots, 1)).astype(np.float32)
    return Task(x, np.sin(x - rng.uniform(0, 3)).astype(np.float32), steps, rate)


def run_stages(model: Model, *stages: Callable[[Model], ServingFunctions]) -> Model:
    """The model after these stages of compiling."""
    for stage in stages:
        model.functions = stage(model)
    return model


def always_faster(*_: Any) -> float:
    """For `speedup`: what is compiled serves, fast or not."""
    return 2.0


@pytest.fixture(scope="module")
def compiled(models_dir: Path) -> Model:
    model = run_stages(Model(load(models_dir / "sinusoid"), DEVICE), compile_steps)
    assert model.compiled
    return model


@pytest.fixture(scope="module")
def eager(models_dir: Path) -> Model:
    return Model(load(models_dir / "sinusoid"), DEVICE)


@pytest.mark.compiled
def test_neither_steps_nor_sizes_compile_anew(compiled: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """30 step counts, alone and together, and every mix of sizes: one compilation serves them all, never eager."""
    inner = compiled.functions.inner
    for program in (inner.step, inner.loss, inner.apply):
        monkeypatch.setattr(program, "_function", None)
    with torch.compiler.set_stance("fail_on_recompile"):
        for steps in range(31):
            compiled.adapt([task(shots=10, steps=steps, seed=steps)])
        compiled.adapt([task(shots=10, steps=steps, seed=steps) for steps in range(31)])
        for tasks in (1, 2, 3, 64, 256):
            for shots in (1, 2, 5, 100):
                states, _ = compiled.adapt([task(shots, steps=2, seed=index) for index in range(tasks)])
                compiled.predict(states, [np.ones((shots, 1), np.float32)] * tasks)


@pytest.mark.compiled
def test_compiled_and_eager_agree(compiled: Model, eager: Model) -> None:
    tasks = [task(shots=1 + index % 12, steps=index % 8, seed=index) for index in range(40)]
    queries = [np.linspace(-5, 5, 1 + index % 7, dtype=np.float32)[:, None] for index in range(40)]
    answers = []
    for model in (compiled, eager):
        states, outcomes = model.adapt(tasks)
        answers.append((model.predict(states, queries), [outcome.losses for outcome in outcomes]))
    for one, two in zip(answers[0][0], answers[1][0], strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4)
    for losses, expected in zip(answers[0][1], answers[1][1], strict=True):
        np.testing.assert_allclose(losses, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.compiled
def test_a_task_alone_and_among_others_is_the_same(compiled: Model) -> None:
    """Promise 2 on the compiled path, within 1e-5."""
    tasks = [task(shots=1 + index % 12, steps=index % 11, seed=index) for index in range(100)]
    queries = [np.linspace(-5, 5, 1 + index % 7, dtype=np.float32)[:, None] for index in range(100)]
    states, _ = compiled.adapt(tasks)
    together = compiled.predict(states, queries)
    furthest = 0.0
    for one, inputs, expected in zip(tasks, queries, together, strict=True):
        state, _ = compiled.adapt([one])
        (alone,) = compiled.predict(state, [inputs])
        furthest = max(furthest, float(np.abs(alone - expected).max()))
    print(f"furthest apart: {furthest:.2g}")  # noqa: T201
    assert furthest <= 1e-5


@pytest.mark.compiled
def test_a_call_leaves_what_it_was_given_as_it_was(compiled: Model) -> None:
    tasks = [task(shots=10, steps=3, seed=seed) for seed in range(5)]
    meta = {name: value.clone() for name, value in compiled.meta.items()}
    states, outcomes = compiled.adapt(tasks)
    before = states.clone()
    queries = [np.ones((4, 1), np.float32)] * 5
    first = compiled.predict(states, queries)
    again, same = compiled.adapt(tasks)
    assert all(torch.equal(meta[name], value) for name, value in compiled.meta.items())
    assert torch.equal(before, states)
    assert torch.equal(before, again)
    assert outcomes == same
    assert all(map(np.array_equal, first, compiled.predict(states, queries)))


@pytest.mark.compiled
def test_states_in_another_layout_are_the_same_and_too_few_are_refused(compiled: Model) -> None:
    states, _ = compiled.adapt([task(shots=10, steps=3, seed=seed) for seed in range(4)])
    queries = [np.ones((3, 1), np.float32)] * 4
    other = states.mT.contiguous().mT
    assert all(map(np.array_equal, compiled.predict(states, queries), compiled.predict(other, queries)))
    with pytest.raises(ValueError, match="4 states expected"):
        compiled.predict(states[:3], queries)


@pytest.mark.compiled
def test_unrolled_steps_are_for_any_number_of_tasks(
    models_dir: Path, eager: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.service.compiled.choose_faster.speedup", always_faster)
    bundle = load(models_dir / "sinusoid")
    bounds = replace(bundle.manifest.inner_loop, steps=2)  # compiling takes 4 s for each
    model = Model(replace(bundle, manifest=replace(bundle.manifest, inner_loop=bounds)), DEVICE)
    run_stages(model, compile_steps, compile_unrolled)
    assert model.functions.unrolled is not None
    monkeypatch.setattr(model.functions.unrolled, "_function", None)
    for tasks in (2, 3, 64):
        many = [task(shots=5 + index % 6, steps=index % 3, seed=index) for index in range(tasks)]
        states, expected = model.adapt(many)[0][:tasks], eager.adapt(many)[0]
        torch.testing.assert_close(states, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.compiled
@pytest.mark.parametrize("name", ["sinusoid", "navigation", "choices"])
def test_one_query_each_is_looked_up_and_answered_as_any(
    models_dir: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 2 again: within 1e-5 of what is answered among others, from any rows, and never by eager code."""
    monkeypatch.setattr("app.service.compiled.choose_faster.speedup", always_faster)
    model = run_stages(Model(load(models_dir / name), DEVICE), compile_steps, compile_look_up)
    look_up = model.functions.look_up
    assert look_up is not None
    monkeypatch.setattr(look_up, "_function", None)
    sizes: list[int] = []

    def counted(*arguments: torch.Tensor) -> torch.Tensor:
        sizes.append(len(arguments[1]))
        return look_up(*arguments)  # type: ignore[arg-type]

    model.functions = replace(model.functions, look_up=counted)  # type: ignore[arg-type]
    rng, features = np.random.default_rng(0), model.bundle.manifest.schema.features
    states = torch.from_numpy(rng.normal(0, 0.3, (100, len(model.initial_state))).astype(np.float32)).to(DEVICE)
    for rows in ([7], [99, 0], [3, 3, 3], rng.permutation(100)[:64].tolist()):
        queries = [rng.normal(0, 1, (1, features)).astype(np.float32) for _ in rows]
        at = torch.tensor(rows, device=DEVICE)
        for one, two in zip(model.predict_rows(states, at, queries), model.predict(states[at], queries), strict=True):
            assert one.shape == two.shape
            np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-5)
    assert sizes == [2, 2, 3, 64]
    several = [queries[0], np.concatenate(queries[:2])]
    first, second = model.predict_rows(states, torch.tensor([5, 6], device=DEVICE), several)
    assert (len(first), len(second)) == (1, 2)
    assert len(sizes) == 4, "more than one query a task is not looked up"


@pytest.mark.compiled
def test_without_torchs_private_interfaces_torch_compile_serves(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "app.service.compiled.program", None)
    model = run_stages(Model(load(models_dir / "linear"), DEVICE), compile_steps)
    assert model.compiled
    assert "compiling with torch.compile" in caplog.text
    with torch.compiler.set_stance("fail_on_recompile"):
        for tasks, shots in ((1, 1), (3, 10), (64, 5)):
            states, _ = model.adapt([task(shots, steps=2, seed=index) for index in range(tasks)])
            model.predict(states, [np.ones((shots, 1), np.float32)] * tasks)


@pytest.mark.compiled
def test_eager_serves_undisturbed_while_another_thread_compiles(models_dir: Path) -> None:
    model = Model(load(models_dir / "linear"), DEVICE)
    expected = model.adapt([task(5, 5, seed=0)])[1]
    served = 0
    with ThreadPoolExecutor(1) as thread:
        compiling = thread.submit(run_stages, model, compile_steps)
        while not compiling.done():
            assert model.adapt([task(5, 5, seed=0)])[1][0].losses == pytest.approx(expected[0].losses, rel=1e-4)
            served += 1
        compiling.result()
    assert model.compiled
    assert served


@pytest.mark.compiled
def test_a_model_that_does_not_compile_stays_eager(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = Model(load(models_dir / "linear"), DEVICE)

    def differ(*_: Any) -> float:
        raise RuntimeError("other numbers")

    monkeypatch.setattr("app.service.compiled.choose_faster.speedup", differ)
    compile_all([model], DEVICE, Health())
    assert "linear: the inner loop runs uncompiled, which is slower: other numbers" in caplog.text
    assert not model.compiled
    assert model.adapt([task(5, 5, 0)])[1][0].status.usable


@pytest.mark.compiled
def test_a_compiler_that_is_broken_leaves_all_models_eager(
    models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is killed, or its disk is full."""
    import torch._inductor.config

    compiler, health = tmp_path / "g++", Health()
    compiler.write_text("#!/bin/sh\nkill -9 $$\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    cpu = torch.device("cpu")
    models = [Model(load(models_dir / "linear"), cpu) for _ in range(2)]
    with torch._inductor.config.patch({"cpp.cxx": (None, str(compiler))}):
        compile_all(models, cpu, health)
    assert health.degraded["compiler"].startswith("linear: the inner loop runs uncompiled, which is slower: ")
    assert [each.levelno for each in caplog.records if "runs uncompiled" in each.getMessage()] == [logging.ERROR]
    for model in models:
        assert not model.compiling
        assert not model.compiled
        assert model.adapt([task(5, 5, 0)])[1][0].status.usable


def test_without_a_compiler_the_server_says_so_once(
    eager: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", "")
    compile_all([eager, eager], torch.device("cpu"), Health())
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "g++" in caplog.text
    assert not eager.compiled


@pytest.mark.compiled
@pytest.mark.parametrize("name", ["navigation", "choices"])
def test_what_a_policy_is_asked_is_compiled_and_how_it_adapts_is_not(
    models_dir: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gaussian or of logits: the same answers as eager for any number of adaptations, and never by eager code."""
    policy, eager = (Model(load(models_dir / name), DEVICE) for _ in range(2))
    run_stages(policy, compile_steps, compile_unrolled, compile_single)
    assert policy.compiled
    assert policy.functions.inner.step.__qualname__ == eager.functions.inner.step.__qualname__
    monkeypatch.setattr(policy.functions.inner.apply, "_function", None)
    rng, features = np.random.default_rng(0), policy.bundle.manifest.schema.features
    for tasks in (1, 2, 5, 64):
        states = torch.from_numpy(rng.normal(0, 0.3, (tasks, len(policy.initial_state))).astype(np.float32)).to(DEVICE)
        queries = [rng.normal(0, 1, (1 + index % 4, features)).astype(np.float32) for index in range(tasks)]
        for one, two in zip(policy.predict(states, queries), eager.predict(states, queries), strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)
